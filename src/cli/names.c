/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All children read from one end of one pair: whoever is idle takes the next name. What the pair has
 * no room for waits here. An answer names its question by a slot and by how often that was used, for
 * who asked may have gone, and another be in its slot.
 *
 * A resolver may wait for long, and after peer_confine this process can send no signal: when its end
 * of a child's pipe is closed, by itself or by the kernel, the kernel sends one (O_ASYNC).
 */
#include "names.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 4, SLOTS_FIRST = 64 };

struct question {
    uint32_t slot, turn;
    uint8_t family;
    char name[NAMES_NAME];
};

struct reply {
    uint32_t slot, turn;
    struct names_answer answer;
};

struct slot {
    struct names_request *request; /* NULL: free */
    uint32_t turn;                 /* how often it was used */
    uint32_t next_free;
};

struct names {
    struct loop_fd fd; /* first: found by it */
    struct loop *loop;
    int lives[CHILDREN]; /* ends of the pipes that the children live by */
    pid_t children[CHILDREN];
    bool gone; /* nobody answers */
    struct slot *slots;
    uint32_t slot_count, first_free; /* slots are counted from 1 on */
    struct names_request *waiting, **last;
};

/* ---- a child ---- */

static void answer(const struct question *question, struct reply *reply)
{
    struct peer_error error = {0};

    *reply = (struct reply){.slot = question->slot, .turn = question->turn};
    int count =
        peer_resolve_all(question->name, question->family, reply->answer.addrs, NAMES_MOST, &error);
    if (count > 0)
        reply->answer.count = count;
    else
        snprintf(reply->answer.why, sizeof(reply->answer.why), "%.*s", NAMES_WHY - 1, error.text);
}

static void serve(int end)
{
    struct question question;
    struct reply reply;

    for (;;) {
        const ssize_t len = recv(end, &question, sizeof(question), 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len != (ssize_t)sizeof(question))
            return;
        question.name[NAMES_NAME - 1] = 0;
        answer(&question, &reply);
        if (send(end, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
            return;
    }
}

/* What ends it when its parent does. */
static bool live_by(int life)
{
    signal(SIGIO, SIG_DFL);
    return fcntl(life, F_SETOWN, getpid()) == 0 &&
           fcntl(life, F_SETFL, O_ASYNC | O_NONBLOCK) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

/* Ctrl-C at a terminal is meant for the parent, which ends it. */
static void block_signals(void)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGIO);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

_Noreturn static void run_child(const struct peer_confine_config *config, int end, int life,
                                pid_t parent)
{
    struct peer_confine_config own = *config;
    const int kept[] = {end, life};
    struct peer_error error;

    own.unfiltered = true; /* the resolver loads modules, reads files, calls servers */
    own.capabilities = 0;
    block_signals();
    peer_close_others(kept, CLI_ARRAY_SIZE(kept));
    (void)prctl(PR_SET_NAME, "peer-names");
    if (live_by(life) && getppid() == parent && peer_confine(NULL, &own, &error) >= 0)
        serve(end);
    _exit(0);
}

/* ---- the parent ---- */

static int start_child(struct names *names, int index, const struct peer_confine_config *config,
                       int end)
{
    const pid_t parent = getpid();
    int life[2];

    if (pipe2(life, O_CLOEXEC) < 0)
        return -errno;
    names->lives[index] = life[1];
    names->children[index] = fork();
    if (names->children[index] == 0)
        run_child(config, end, life[0], parent);
    const int status = names->children[index] < 0 ? -errno : 0;
    close(life[0]);
    return status;
}

static int make_names(const struct peer_confine_config *config, struct names *names)
{
    int ends[2], status = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    names->fd.fd = ends[0];
    for (int i = 0; i < CHILDREN && status == 0; i++)
        status = start_child(names, i, config, ends[1]);
    close(ends[1]);
    return status;
}

int names_start(const struct command *command, const struct common_options *common,
                struct names **ret_names)
{
    struct peer_confine_config config;
    struct names *names = calloc(1, sizeof(*names));

    int status = choose_privileges(command, common, &config);
    if (status != 0) {
        free(names);
        return status;
    }
    if (names) {
        memset(names->lives, -1, sizeof(names->lives));
        names->fd.fd = -1;
        names->last = &names->waiting;
    }
    status = names ? make_names(&config, names) : -ENOMEM;
    if (status < 0) {
        say("cannot start the processes that resolve names: %s", strerror(-status));
        names_free(names);
        return STATUS_MACHINE;
    }
    *ret_names = names;
    return 0;
}

struct names *names_free(struct names *names)
{
    if (!names)
        return NULL;
    if (names->loop && !names->gone)
        loop_remove(names->loop, &names->fd);
    if (names->fd.fd >= 0)
        close(names->fd.fd);
    for (int i = 0; i < CHILDREN; i++) {
        if (names->lives[i] >= 0)
            close(names->lives[i]);
        while (names->children[i] > 0 && waitpid(names->children[i], NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(names->slots);
    free(names);
    return NULL;
}

/* ---- slots ---- */

static bool more_slots(struct names *names)
{
    const uint32_t had = names->slot_count, count = had ? 2 * had : SLOTS_FIRST;
    struct slot *slots = realloc(names->slots, (count + 1) * sizeof(*slots));

    if (!slots)
        return false;
    names->slots = slots;
    memset(slots + had + (had ? 1 : 0), 0, (count - had + (had ? 0 : 1)) * sizeof(*slots));
    for (uint32_t i = count; i > had; i--) {
        slots[i].next_free = names->first_free;
        names->first_free = i;
    }
    names->slot_count = count;
    return true;
}

static bool take_slot(struct names *names, struct names_request *request)
{
    if (!names->first_free && !more_slots(names))
        return false;
    struct slot *slot = &names->slots[names->first_free];
    request->slot = names->first_free;
    names->first_free = slot->next_free;
    slot->request = request;
    slot->turn++;
    return true;
}

static void leave_slot(struct names *names, struct names_request *request)
{
    struct slot *slot = &names->slots[request->slot];

    slot->request = NULL;
    slot->next_free = names->first_free;
    names->first_free = request->slot;
    request->slot = 0;
}

/* ---- questions and answers ---- */

static bool ask_now(struct names *names, const struct names_request *request)
{
    struct question question = {
        .slot = request->slot, .turn = names->slots[request->slot].turn, .family = request->family};

    snprintf(question.name, sizeof(question.name), "%s", request->name);
    return send(names->fd.fd, &question, sizeof(question), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void ask_waiting(struct names *names)
{
    while (names->waiting && ask_now(names, names->waiting)) {
        struct names_request *request = names->waiting;
        names->waiting = request->next;
        if (!names->waiting)
            names->last = &names->waiting;
        request->waits = false;
    }
}

static void give(struct names *names, struct names_request *request,
                 const struct names_answer *answer)
{
    names_forget(names, request);
    request->answered(request, answer);
}

static void give_up(struct names *names)
{
    const struct names_answer nothing = {.why = "nobody is left who resolves names"};

    names->gone = true;
    say("the processes that resolve names are gone: from now on no name is known");
    loop_remove(names->loop, &names->fd);
    for (uint32_t i = 1; i <= names->slot_count; i++) {
        if (names->slots[i].request)
            give(names, names->slots[i].request, &nothing);
    }
}

/* Who resolves names reads what strangers send: its answers are doubted too. */
static struct names_request *request_of(const struct names *names, struct reply *reply)
{
    if (reply->slot < 1 || reply->slot > names->slot_count || reply->answer.count < 0 ||
        reply->answer.count > NAMES_MOST)
        return NULL;
    reply->answer.why[NAMES_WHY - 1] = 0;
    const struct slot *slot = &names->slots[reply->slot];
    return slot->turn == reply->turn ? slot->request : NULL;
}

static void on_names(struct loop_fd *fd, uint32_t events)
{
    struct names *names = (struct names *)(void *)fd;
    struct reply reply;
    ssize_t len;

    (void)events;
    while ((len = recv(fd->fd, &reply, sizeof(reply), MSG_DONTWAIT)) == (ssize_t)sizeof(reply)) {
        struct names_request *request = request_of(names, &reply);
        if (request)
            give(names, request, &reply.answer);
    }
    if (len >= 0 || (errno != EAGAIN && errno != EINTR))
        give_up(names);
    else
        ask_waiting(names);
}

int names_join(struct names *names, struct loop *loop)
{
    names->loop = loop;
    names->fd.ready = on_names;
    return loop_add(loop, &names->fd, EPOLLIN | EPOLLOUT);
}

int names_ask(struct names *names, struct names_request *request, const char *name, uint8_t family)
{
    if (names->gone)
        return -EPIPE;
    if (!take_slot(names, request))
        return -ENOMEM;
    request->name = name;
    request->family = family;
    request->next = NULL;
    request->waits = true;
    *names->last = request;
    names->last = &request->next;
    ask_waiting(names);
    return 0;
}

void names_forget(struct names *names, struct names_request *request)
{
    if (!request->slot)
        return;
    for (struct names_request **at = &names->waiting; request->waits; at = &(*at)->next) {
        if (*at != request)
            continue;
        *at = request->next;
        if (names->last == &request->next)
            names->last = at;
        request->waits = false;
        break;
    }
    leave_slot(names, request);
}
