# What shell scripts do with memory, printed so that two runs can be compared: loops, indexed and associative arrays,
# command substitution, here documents, pipelines, subshells, functions that recurse, and traps.

set -u
declare -A table
declare -a list
for ((i = 0; i < 20000; i++)); do
    list[i]="element $i of the list, which is $((i * 7919 % 10007)) long"
    table[key$((i % 3000))]+=" $i"
done
echo "${#list[@]} ${#table[@]} ${table[key17]} ${#list[*]}"
unset 'list[100]'
echo "${list[@]: -3}"
text=
for ((i = 0; i < 3000; i++)); do text+="$i,"; done
echo "${#text} ${text//,/;}" | cksum
for i in {101..250}; do value=$(echo "$i: $(printf '%s' "${list[i]}" | tr a-z A-Z)"); done
echo "$value"
factorial() { if (($1 <= 1)); then echo 1; else echo $(($1 * $(factorial $(($1 - 1))))); fi; }
factorial 15
while IFS=, read -r first second rest; do
    echo "$second-$first-$rest"
done <<EOF | sort | cksum
$(for ((i = 0; i < 2000; i++)); do echo "$i,$((i * i)),$((i % 7)),end"; done)
EOF
(for i in {1..5000}; do eval "variable_$i='$i$i$i'"; done; set | grep -c '^variable_')
mapfile -t lines < <(seq 1 30000)
printf '%s\n' "${lines[@]}" | cksum
[[ "2024-05-06 and more" =~ ^([0-9]+)-([0-9]+)-([0-9]+)\ (.*)$ ]] && echo "${BASH_REMATCH[@]}"
trap 'echo leaving' EXIT
exit 9
