# bash completion for leasehold                                     -*- shell-script -*-
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The command itself knows what may follow: "leasehold __complete WORD..." prints one
# candidate a line, or ":file". Guests are those of this host, from the same configuration
# that the line being typed names.

_leasehold()
{
    local current=${COMP_WORDS[COMP_CWORD]} i
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}") found

    # What follows "--" is another program's line: leave it to bash.
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] && { compopt -o default; return; }
    done
    mapfile -t found < <("$1" __complete "${words[@]}" 2>/dev/null)
    if [[ ${found[0]-} == :file ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    COMPREPLY=()
    for i in "${!found[@]}"; do
        COMPREPLY+=("$(printf '%q' "${found[i]}")")
    done
}

complete -F _leasehold leasehold
