#!/usr/bin/env bash
# A client of examples/python-client/store.py for Elenchus, in bash alone: reads a request a line, answers a line.
# The store takes the very requests and gives the very answers, but for the id. See docs/clients.md.

carry_out() {  # sets `answer`
    if ! [[ $request =~ \"op\":\"(get|put|cas)\" ]]; then
        answer='"fail":"this store knows get, put and cas"'
    elif ! printf '%s\n' "$request" >&3; then
        answer='"info":"the connection broke"'
    elif ! IFS= read -r -t 2 said <&3; then
        # It may have been carried out: a doubt. What comes after this would answer another request.
        answer='"info":"the store does not answer"'
    elif [[ $said =~ ^\{(.*)\}$ ]]; then
        answer=${BASH_REMATCH[1]}
    else
        answer='"info":"the store answers strangely"'
    fi
}

trap '' PIPE
while IFS= read -r request; do
    [[ $request =~ \"id\":([0-9]+) ]] || continue
    id=${BASH_REMATCH[1]}
    if [[ $request =~ \"op\":\"open\" ]]; then
        answer='"fail":"no connection"'
        if [[ $request =~ \"client\":\"([0-9.]+):([0-9]+)\" ]] &&
            exec 3<>"/dev/tcp/${BASH_REMATCH[1]}/${BASH_REMATCH[2]}"; then
            answer='"ok":null'
        fi
    else
        carry_out
    fi
    printf '{"id":%s,%s}\n' "$id" "$answer"
done
