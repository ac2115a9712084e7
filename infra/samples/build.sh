#!/bin/sh
# A colourful progress job: ANSI colours, a bar redrawn with carriage returns, symbols beyond ASCII.
esc=$(printf '\033')
green="${esc}[32m" yellow="${esc}[33m" blue="${esc}[1;34m" dim="${esc}[2m" bold="${esc}[1m" off="${esc}[0m"
printf '%s▶ asset build%s %s(6 targets)%s\n' "$blue" "$off" "$dim" "$off"
for target in fonts icons photos styles scripts pages; do
    for step in 1 2 3 4 5 6 7 8 9 10; do
        bar=$(printf '%*s' "$step" '' | tr ' ' '#')
        printf '\r%s%-8s%s [%s%-10s%s] %3d%%' "$bold" "$target" "$off" "$green" "$bar" "$off" $((step * 10))
        sleep 0.15
    done
    printf '\n%s✔%s %s written to dist/%s\n' "$green" "$off" "$target" "$target"
    case $target in
        photos) printf '%s⚠ 3 photos are larger than 2 MB%s\n' "$yellow" "$off" >&2 ;;
    esac
done
printf '%s✔ done%s in 9.4 s — 1,204 files, 38.1 MB → 11.7 MB\n' "$green" "$off"
