# SPDX-License-Identifier: LGPL-2.1-or-later
#
# layers.awk: reads C files and prints every #include that points the wrong way in the house:
#
#     common <- lock_manager <- domain_lock <- supervisor
#     tools: common and the installed headers; plugins and the libvirt adapter: the same
#
# Run in the top folder of the sources, with the names of the files as they stand there.

BEGIN {
    may["common"] = " common "
    may["lock_manager"] = " common lock_manager "
    may["domain_lock"] = " common lock_manager domain_lock "
    may["supervisor"] = " common lock_manager domain_lock supervisor "
    may["tools"] = " common tools "
    may["libvirt"] = " common libvirt "
    # what each may see of the installed headers; all may see lock_types.h
    headers["common"] = " "
    headers["lock_manager"] = " lock_manager.h lock_driver.h "
    headers["domain_lock"] = " lock_manager.h lock_driver.h domain_lock.h "
    headers["supervisor"] = " lock_manager.h domain_lock.h "
    headers["tools"] = " lock_manager.h lock_driver.h domain_lock.h "
    headers["libvirt"] = " lock_manager.h "
    headers["include"] = " lock_manager.h lock_driver.h domain_lock.h "
    headers["plugins"] = " lock_driver.h "
}

function module_of(path,    parts) {
    split(path, parts, "/")
    return parts[1] == "plugins" ? parts[1] "/" parts[2] : parts[1]
}

function wrong(why) {
    print FILENAME ":" FNR ": " $0 "  (" why ")"
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    from = module_of(FILENAME)
    layer = from
    sub(/\/.*/, "", layer)
    name = $0
    sub(/^[^"<]*["<]/, "", name)
    sub(/[">].*/, "", name)
    if (name ~ /^leasehold\//) {
        sub(/^leasehold\//, "", name)
        if (name != "lock_types.h" && index(headers[layer], " " name " ") == 0)
            wrong(layer "/ may not see this header")
    } else if ($0 ~ /"/ && name ~ /\// && name !~ /^\.\.?\//) {
        to = module_of(name)
        allowed = layer == "plugins" ? " common " from " " : may[from]
        if (index(allowed, " " to " ") == 0)
            wrong(from " may not see " to)
    } else if (name ~ /^\.\.\//) {
        wrong("an #include names its file from the top folder")
    }
}
