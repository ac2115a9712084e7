#!/bin/sh
# A nightly job that does some work and then fails with a stack trace on stderr and exit status 1.
echo "import: reading s3://shop-imports/2026-11-23/orders.csv"
for part in 1 2 3 4 5 6 7 8; do
    echo "import: part $part of 12, $((part * 2500)) rows, 0 rejected"
    sleep 0.3
done
cat >&2 <<'TRACE'
Traceback (most recent call last):
  File "/app/import_orders.py", line 88, in <module>
    main()
  File "/app/import_orders.py", line 71, in main
    store(parse(row, line=number) for number, row in enumerate(reader, start=1))
  File "/app/shop/orders.py", line 142, in parse
    total=Decimal(row["total"]),
          ~~~~~~~^^^^^^^^^^^^^^
decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/shop/orders.py", line 151, in parse
    raise MalformedOrderError(line, row) from error
shop.orders.MalformedOrderError: line 20417: total is '12,90 €', which is no number
TRACE
echo "import: rolled back, nothing was stored"
exit 1
