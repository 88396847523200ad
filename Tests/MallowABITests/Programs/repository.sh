# Makes a git repository in the current folder: eighty commits on changing files, with a branch that is merged every
# tenth. The dates are fixed, so the hashes are always the same.

set -eu
git init -q -b main .
for ((n = 1; n <= 80; n++)); do
    export GIT_AUTHOR_DATE="2024-01-01T00:00:$((n % 60)) +0000" GIT_COMMITTER_DATE="2024-01-01T00:00:$((n % 60)) +0000"
    if ((n % 10 == 5)); then git checkout -q -b "branch$n"; fi
    awk -v n="$n" 'BEGIN { for (i = 0; i < 400; i++) print "line " i " of commit " (i * 7 % 80 < n ? i * 7 % 80 : 0) }' \
        >"file$((n % 7))"
    mkdir -p "folder$((n % 5))"
    seq "$n" "$((n * 30))" >"folder$((n % 5))/numbers$((n % 3))"
    git add -A
    git commit -q -m "Commit $n" -m "It changes file$((n % 7)) and the numbers in folder$((n % 5))."
    if ((n % 10 == 9)); then
        git checkout -q main
        git merge -q --no-ff -m "Merge branch$((n - 4))" "branch$((n - 4))"
    fi
done
git tag v1
