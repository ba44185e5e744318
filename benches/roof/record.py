"""Prints the results of `measure run` as rows for benches/record/, whose README explains the columns.

    python3 record.py RESULTS [MACHINE [COMMIT]]
"""

import csv
import json
import sys
from pathlib import Path

COLUMNS = "name,engine,machine,isa,threads,shape,unit,median,mad,n,recall,commit".split(",")
# Of a rate: its unit in the record, and the factor.
RATES = {
    "B/s": ("GB/s", 1e-9),
    "MAC/s": ("GMAC/s", 1e-9),
    "instructions of a thread/s": ("10^9 instructions/s", 1e-9),
}


def of_micro(line):
    if "rate" in line:
        unit, factor = RATES[line["unit"]]
        return [("limit_" + line["name"], "", unit, line["rate"] * factor)]
    return [("latency_" + line["name"], "", "us", line["median_s"] * 1e6)]


def of_scan(line, remark):
    how = "filtered" if line["is_filtered"] else "scanned"
    shape = "P={passages} N={tokens} K={centroids} nbits={nbits} Q={query_tokens} k={k} batch={batch}".format(**line)
    shape = f"{shape}; {how}{remark}"
    name = "search_exhaustive"
    return [(name, shape, "ms", line["ms_per_query"]), (name, shape, "queries/s", line["queries_per_second"])]


def of_query(line):
    sizes = ("passages", "P"), ("centroids", "K"), ("candidates", "C"), ("k", "k")
    shape = " ".join(f"{letter}={line[key]}" for key, letter in sizes if key in line)
    name = {"query": "search_exhaustive", "table": "centroid_table", "rescore": "maxsim"}[line["what"]]
    return [(name, shape, "us", line["ms"] * 1e3)]


def of_build(line):
    shape = "N={rows} K={centroids} nbits={nbits}, with copies".format(**line)
    rows = [(line["what"], shape, "vectors/s", line["rows_per_second"])]
    if line["tera_products_per_second"]:
        rows.append((line["what"], shape, "GMAC/s", line["tera_products_per_second"] * 1e3))
    return rows


def of_peers(line):
    if "what" not in line:
        return []
    shape = "P={passages} N={tokens}".format(**line) if "passages" in line else ""
    rates = {"gigabytes_per_second": ("GB/s", 1), "tera_products_per_second": ("GMAC/s", 1e3)}
    rows = [(line["what"], shape, unit, line[key] * factor) for key, (unit, factor) in rates.items() if key in line]
    return rows or [(line["what"], shape, "ms", line["ms"])]


FILES = {
    "micro.jsonl": of_micro,
    "scan.jsonl": lambda line: of_scan(line, ""),
    "scan-1-bit.jsonl": lambda line: of_scan(line, ""),
    "scan-hints.jsonl": lambda line: of_scan(line, "; with hints"),
    "scan-no-hints.jsonl": lambda line: of_scan(line, "; without hints"),
    "fiqa.jsonl": lambda line: of_scan(line, ""),
    "query.jsonl": of_query,
    "build.jsonl": of_build,
    "peers.jsonl": of_peers,
}


def main():
    results, machine, commit = (sys.argv[1:] + ["", ""])[:3]
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for name, of_line in FILES.items():
        file = Path(results) / name
        # A step that was stopped leaves what it has measured; the rest of a log is messages.
        lines = file.read_text().splitlines() if file.exists() else []
        for line in (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")):
            engine = "torch" if name == "peers.jsonl" else "selvedge"
            for what, shape, unit, figure in of_line(line):
                table.writerow([what, engine, machine, "cuda", "", shape, unit, f"{figure:.5g}", "", "", "", commit])


main()
