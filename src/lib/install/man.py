#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""man.py INCLUDE DATE_OF OUT: the manual pages of the library, section 3, made from its headers.

A header is a page: peer/flow.h is peer_flow(3), peer/peer.h is peer_net(3). What stands in a comment above a
declaration is said below it, declarations in their order, structs with the comments of their fields. Each
function's own name leads to its page. DATE_OF is a page whose date they have: no build has another.
"""
import os
import re
import sys

COMMENT = re.compile(r"/\*\*?(.*?)\*/", re.S)
CODE = {"peer": "net"}  # names of pages that differ from their header's


# ---- reading a header ----

def lines_of(comment):
    """A comment's lines without what frames them; what is indented in it stays so."""
    first, *others = comment.split("\n")
    lines = [first.strip(), *(re.sub(r"^\s*\* ?", "", line).rstrip() for line in others)]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def body_of(text):
    """A header without guards, includes, and what C++ needs."""
    text = re.sub(r"^/\* SPDX.*?\*/\n", "", text)
    text = re.sub(r'#ifdef __cplusplus\n(extern "C" \{|\})\n#endif\n', "", text)
    return re.sub(r"^#(ifndef|define PEER_\w+_H|endif|include).*\n", "", text, flags=re.M)


def end_of(text, at):
    """Where the declaration ends that begins at `at`: behind its ';' or '}'."""
    depth = 0
    while True:
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0 and not re.match(r"\s*;", text[at + 1:at + 3]):
                return at + 1
        elif text[at] == ";" and depth == 0:
            return at + 1
        at += 1


def items_of(text):
    """[(comment's lines, [declaration])]: what has no comment of its own belongs to what is above it."""
    items, at = [], 0
    text = body_of(text)
    while match := re.compile(r"\S").search(text, at):
        at = match.start()
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            items.append((lines_of(COMMENT.match(text, at)[1]), []))
            if text.startswith("\n\n", end):  # of all that follows
                items.append(([], []))
        elif text[at] == "#":
            end = text.index("\n", at)
            items[-1][1].append(text[at:end])
        else:
            end = end_of(text, at)
            code = text[at:end]
            if re.match(r"struct \w+;$", code):
                at = end
                continue
            before = text.rfind("\n", 0, at - 1)
            alone = text[before + 1:at].strip() == ""  # a blank line above: nothing said about it
            if not items or (alone and items[-1][1] and re.match(r"(enum|struct) ", code)):
                items.append(([], []))
            items[-1][1].append(code)
        at = end
    return items


def shown(code):
    """A declaration as it is shown."""
    for word in ("PEER_EXPORT ", "static inline "):
        if code.startswith(word):
            lines = code.split("\n{")[0].rstrip(";").split("\n")
            others = (re.sub("^ {%d}" % len(word), "", line) for line in lines[1:])
            return "\n".join([lines[0][len(word):], *others]) + ";"
    return code


def functions_in(code):
    match = re.match(r"(?:PEER_EXPORT|static inline)\b[^({;]*?\b(peer_\w+)\(", code)
    return [match[1]] if match else []


# ---- writing ----

def escape(text):
    return re.sub(r"(?<![\w])-(?=\w)", r"\\-", text.replace("\\", "\\e"))


def words(text):
    """Running text: names as they are typed, sentences in lines of their own."""
    text = escape(" ".join(text.split()))
    text = re.sub(r"`([^`]+)`", r"\\fI\1\\fR", text)
    text = re.sub(r"\b(peer_\w+)\(\)", r"\\fB\1\\fR()", text)
    lines = re.sub(r"(?<=[a-z0-9)`R][.?]) (?=[A-Z`\\-])", "\n", text).split("\n")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in lines)


def literal(lines):
    return "\n".join([".Bd -literal", *("\\&" + line if line[:1] in (".", "'") else line
                                         for line in (part.replace("\\", "\\e").replace("-", "\\-")
                                                      for part in lines)), ".Ed"])


def lists_of(lines):
    """Lines of one paragraph as running text, bullets, and errors with what they mean."""
    parts = []  # [kind, head, text]
    for line in lines:
        bullet = re.match(r"\s+- (.*)", line)
        error = re.match(r"\s+(-E[A-Z0-9]+(?:, -E[A-Z0-9]+)*),? +(.*)", line)
        if bullet:
            parts.append(["bullet", "", bullet[1]])
        elif error:
            parts.append(["tag", error[1], error[2]])
        elif parts:
            parts[-1][2] += " " + line
        else:
            parts.append(["text", "", line])
    return parts


def paragraph(lines):
    if all(line.startswith("  ") and not re.match(r"\s+-", line) for line in lines):
        return literal(lines)
    out, opened = [], None
    for kind, head, text in lists_of(lines):
        if kind != opened:
            if opened in ("bullet", "tag"):
                out.append(".El")
            if kind != "text":
                out.append(".Bl -bullet" if kind == "bullet" else ".Bl -tag -width Ds")
            opened = kind
        if kind != "text":
            out.append(".It" if kind == "bullet" else ".It " + escape(head).replace(",", " ,"))
        out.append(words(text))
    if opened in ("bullet", "tag"):
        out.append(".El")
    return "\n".join(out)


def prose(lines):
    """A comment, paragraph by paragraph."""
    parts, current = [], []
    for line in [*lines, ""]:
        if line.strip():
            current.append(line)
        elif current:
            parts.append(paragraph(current))
            current = []
    return "\n.Pp\n".join(parts)


def title_of(declarations):
    """What a part is about."""
    names = []
    for code in declarations:
        names += [name for name in functions_in(code) if not name.endswith("_sized")]
        named = re.match(r"(struct|enum) (\w+) \{", code)
        names += [f"{named[1]} {named[2]}"] if named else []
    return ", ".join(names)


def page(name, header, text, date):
    items = items_of(text)
    intro = []
    while items and not items[0][1]:
        intro += [*items.pop(0)[0], ""]
    functions = list(dict.fromkeys(one for _, codes in items for code in codes for one in functions_in(code)))
    about = " ".join(intro).strip() or next(" ".join(comment) for comment, _ in items if comment)
    told = re.sub(r"^libpeer: ", "", re.split(r"\.(?: |$)", about)[0])
    told = told[0].lower() + told[1:] if told[1:2].islower() else told
    out = ['.\\" SPDX-License-Identifier: BSD-3-Clause', f".Dd {date}", f".Dt {name.upper()} 3", ".Os", ".Sh NAME"]
    out += [f".Nm {one} ," for one in dict.fromkeys((name, *functions))]
    out[-1] = out[-1].rstrip(" ,")
    out += [".Nd " + words(told).replace("\n", " "), ".Sh SYNOPSIS", f".In peer/{header}", ".Pp",
            "cc test.c $(pkg\\-config \\-\\-cflags \\-\\-libs peer)", ".Sh DESCRIPTION", prose(intro)]
    for comment, codes in items:
        if not codes:
            out += [".Pp", prose(comment)] if comment else []
            continue
        if title := title_of(codes):
            out.append(f".Ss {title}")
        else:
            out.append(".Pp")
        out.append(literal("\n".join(map(shown, codes)).split("\n")))
        out += [".Pp", prose(comment)] if comment else []
    out += [".Sh SEE ALSO", ".Xr libpeer 3"]
    return "\n".join(part for part in out if part) + "\n", functions


def main():
    include, date_of, place = sys.argv[1:]
    os.makedirs(place, exist_ok=True)
    for old in os.listdir(place):
        os.unlink(f"{place}/{old}")
    with open(date_of, encoding="utf-8") as file:
        date = re.search(r"^\.Dd (.*)$", file.read(), re.M)[1]
    for header in sorted(os.listdir(f"{include}/peer")):
        stem = header[:-len(".h")]
        if not header.endswith(".h") or stem == "export":
            continue
        with open(f"{include}/peer/{header}", encoding="utf-8") as file:
            text, functions = page(name := f"peer_{CODE.get(stem, stem)}", header, file.read(), date)
        with open(f"{place}/{name}.3", "w", encoding="utf-8") as file:
            file.write(text)
        for function in functions:
            if function != name:
                with open(f"{place}/{function}.3", "w", encoding="utf-8") as file:
                    file.write(f".so man3/{name}.3\n")


if __name__ == "__main__":
    main()
