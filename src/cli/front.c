/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a shell knows a job by its process group and by the processes that it forked
 * itself, of which the front is one. The terminal sends its signals to the whole group, so the
 * program has them already; what somebody sends to the front alone (kill, timeout, a supervisor) the
 * program has not, and is passed on. The kernel tells the two apart: si_code is SI_KERNEL for what
 * came from a terminal. (A timer's signal is the kernel's too, and belongs to a process: alarm() of
 * who executed us.)
 *
 * The front has all signals blocked and reads them from a signalfd. It stops by the signal that
 * stopped the program, at its default, so that the shell says the same; in an orphaned group, where
 * the kernel does not let the program stop by such a signal, nor is the front. It ends by the signal
 * that ended the program, without a core of its own.
 *
 * What it is told is read to the end before it acts: a program that stopped and goes on again has
 * not stopped.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>

#include <peer/confine.h>

enum { STATUS_FAILED = 125 }; /* as env(1) and nohup(1) say that it was they */

struct told {
    enum front_word word;
    int value;
};

struct fronting {
    int fd, signals;
    pid_t engine;
    int stopped_by; /* 0: the program is not stopped */
    unsigned stops; /* so often it was */
    bool ended;     /* and `status` is its wait status */
    int status;
    bool child_news; /* of the engine */
};

/* ---- signals ---- */

/* Left to their default: nobody sends them, or nothing can be done about them. */
static bool is_fault(int number)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (faults[i] == number)
            return true;
    }
    return false;
}

static void all_but_faults(sigset_t *ret)
{
    sigfillset(ret);
    for (int number = 1; number < NSIG; number++) {
        if (is_fault(number))
            sigdelset(ret, number);
    }
}

/* What comes to the program by itself. */
static bool is_whole_group(const struct signalfd_siginfo *info)
{
    const int number = (int)info->ssi_signo;

    if (info->ssi_code != SI_KERNEL || number == SIGALRM || number == SIGVTALRM ||
        number == SIGPROF || number == SIGXCPU)
        return false;
    /* A terminal that hangs up tells the leader of its session, whichever group is in front. */
    return number != SIGHUP || getsid(0) != getpid();
}

static void pass_on(const struct fronting *front, int number)
{
    (void)send(front->fd, &number, sizeof(number), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hear(struct fronting *front)
{
    struct signalfd_siginfo info;

    while (read(front->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            front->child_news = true;
        else if (!is_whole_group(&info) && (number != SIGCONT || front->stopped_by))
            pass_on(front, number);
    }
}

/* By this signal at its default. Returns when it has none that stops or kills, or when we go on. */
static void take_signal(int number)
{
    sigset_t one;

    signal(number, SIG_DFL);
    (void)kill(getpid(), number);
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    sigprocmask(SIG_BLOCK, &one, NULL);
}

/* ---- the front ---- */

static _Noreturn void end_like(int status)
{
    const struct rlimit none = {0, 0};

    if (WIFSIGNALED(status)) {
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
        take_signal(WTERMSIG(status));
        _exit(128 + WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

static _Noreturn void end(const struct fronting *front)
{
    int status;

    if (waitpid(front->engine, &status, 0) < 0) /* all signals are blocked: no EINTR */
        _exit(STATUS_FAILED);
    if (WIFSIGNALED(status)) {
        dprintf(STDERR_FILENO, "peer: the process that ran the peers was ended by signal %d (%s), the "
                "program with it\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        _exit(STATUS_FAILED);
    }
    if (WEXITSTATUS(status) == 0 && front->ended)
        end_like(front->status);
    _exit(WEXITSTATUS(status));
}

static void note(struct fronting *front, const struct told *told)
{
    switch (told->word) {
    case FRONT_STOPPED:
        front->stopped_by = told->value;
        front->stops++;
        break;
    case FRONT_CONTINUED:
        front->stopped_by = 0;
        break;
    case FRONT_ENDED:
        front->stopped_by = 0;
        front->ended = true;
        front->status = told->value;
        break;
    }
}

static void listen_to_engine(struct fronting *front)
{
    const unsigned stops = front->stops;
    struct told told;
    ssize_t len;

    while ((len = recv(front->fd, &told, sizeof(told), MSG_DONTWAIT)) == (ssize_t)sizeof(told))
        note(front, &told);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        end(front);
    if (front->stopped_by && front->stops != stops)
        take_signal(front->stopped_by);
}

/* Its socket may have a copy somewhere, so that its end is not seen by that alone. */
static bool has_ended(pid_t engine)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)engine, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == engine;
}

static _Noreturn void stand_in_front(struct fronting *front)
{
    struct pollfd polls[] = {{.fd = front->fd, .events = POLLIN},
                             {.fd = front->signals, .events = POLLIN}};

    for (;;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            end(front);
        if (polls[1].revents)
            hear(front);
        const bool ended = front->child_news && has_ended(front->engine);
        front->child_news = false;
        if (polls[0].revents || ended)
            listen_to_engine(front);
        if (ended)
            end(front);
    }
}

/* The end of a pipe is seen when nobody has it any more. Standard error stays, for one line; the user,
   whose signals it takes; and what ends the engine with it, which is another user's by then: the
   kernel asks whether the dead one might have sent that signal. */
static void let_go(const struct fronting *front)
{
    const struct peer_confine_config kill_alone = {.unfiltered = true,
                                                    .capabilities = UINT64_C(1) << CAP_KILL};
    struct peer_error error;
    const int kept[] = {front->fd, front->signals};
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO && null >= 0; fd++)
        (void)dup2(null, fd);
    peer_close_others(kept, sizeof(kept) / sizeof(kept[0]));
    (void)peer_confine(NULL, &kill_alone, &error);
}

/* ---- the engine ---- */

/* Handlers of its own, for its own signals, may be set later; a default would end or stop it. */
static int begin_engine(pid_t front)
{
    for (int number = 1; number < NSIG; number++) {
        if (!is_fault(number) && number != SIGCHLD)
            signal(number, SIG_IGN);
    }
    prctl(PR_SET_NAME, "peer-engine");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == front ? 0 : -EPIPE;
}

/* Both ends > 2: a caller without standard streams gets them for its program. */
static int make_pair(int ret_ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        const int end = ret_ends[i];
        ret_ends[i] = fcntl(end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        (void)close(end);
    }
    return ret_ends[0] < 0 || ret_ends[1] < 0 ? -EMFILE : 0;
}

int front_split(struct front *ret_front)
{
    struct fronting front = {.fd = -1};
    sigset_t heard, before;
    int ends[2];
    const pid_t self = getpid();

    int status = make_pair(ends);
    if (status < 0)
        return status;
    all_but_faults(&heard);
    sigprocmask(SIG_SETMASK, &heard, &before); /* from here on no signal is lost */
    signal(SIGCHLD, SIG_DFL);                  /* where it is ignored, no status is kept */
    front.fd = ends[0];
    front.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    front.engine = front.signals < 0 ? -1 : fork();
    if (front.engine > 0) {
        let_go(&front);
        stand_in_front(&front);
    }
    status = front.engine < 0 ? -errno : begin_engine(self);
    sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[0]);
    if (front.signals >= 0)
        (void)close(front.signals);
    if (status < 0)
        (void)close(ends[1]);
    else
        ret_front->fd = ends[1];
    return status;
}

int front_take(const struct front *front)
{
    int number;
    const ssize_t len = recv(front->fd, &number, sizeof(number), MSG_DONTWAIT);

    if (len == (ssize_t)sizeof(number))
        return number;
    return len < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

int front_tell(const struct front *front, enum front_word word, int value)
{
    const struct told told = {word, value};
    /* A front that somebody stopped takes nothing in: only the last word is worth waiting for. */
    const int flags = MSG_NOSIGNAL | (word == FRONT_ENDED ? 0 : MSG_DONTWAIT);

    if (send(front->fd, &told, sizeof(told), flags) == (ssize_t)sizeof(told) || errno == EAGAIN)
        return 0;
    return -EPIPE;
}
