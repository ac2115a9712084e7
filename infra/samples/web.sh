#!/bin/sh
# A chatty web service: access lines on stdout, now and then a warning or an error on stderr. Runs until it is stopped.
trap 'echo "received SIGTERM, draining 3 connections" >&2; echo "bye"; exit 0' TERM INT
echo "shop-web 2.4.1 listening on 0.0.0.0:8080"
n=0
while :; do
    n=$((n + 1))
    awk -v n="$n" 'BEGIN {
        srand(n * 7919)
        split("GET GET GET GET POST PUT", method, " ")
        split("/ /products /products/1138 /cart /checkout /api/orders /static/app.css /healthz", path, " ")
        split("200 200 200 200 200 304 201 404", status, " ")
        split("10.0.3.17 10.0.3.44 192.0.2.61 198.51.100.7 203.0.113.99", client, " ")
        printf "%s - \"%s %s HTTP/1.1\" %s %d %dms\n", client[1 + int(rand() * 5)], method[1 + int(rand() * 6)],
            path[1 + int(rand() * 8)], status[1 + int(rand() * 8)], 180 + int(rand() * 9000), 2 + int(rand() * 90)
    }'
    case $((n % 40)) in
        17) echo "WARN  slow query (412 ms): SELECT * FROM orders WHERE customer = ?" >&2 ;;
        33) echo "ERROR upstream payments:9443 timed out after 2000 ms, retrying (1/3)" >&2 ;;
    esac
    case $((n % 7)) in
        0) sleep 0.6 ;;
        *) sleep 0.12 ;;
    esac
done
