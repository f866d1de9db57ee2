"""The steps from an empty database to the tables of nas/ledger/tables.py, one module a step."""
