// Fails when the JavaScript of a first visit to a job exceeds the budget: the entry, its static imports, and the worker.
// Reads web/dist, or the folder given as an argument.
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET = 60_000;
const dist =
  process.argv[2] === undefined ? new URL("../dist/", import.meta.url) : pathToFileURL(`${process.argv[2]}/`);
const folder = new URL("assets/", dist);
const files = readdirSync(folder).filter((name) => name.endsWith(".js"));
const source = new Map(files.map((name) => [name, readFileSync(new URL(name, folder))]));
const html = readFileSync(new URL("index.html", dist), "utf8");

const initial = new Set();
const visit = (name) => {
  if (initial.has(name) || !source.has(name)) return;
  initial.add(name);
  const code = source.get(name).toString();
  for (const [, found] of code.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) visit(found);
};
for (const [, name] of html.matchAll(/(?:src|href)="\.\/assets\/([\w.-]+\.js)"/g)) visit(name);
for (const name of files) if (name.startsWith("worker")) visit(name);

let total = 0;
for (const name of files) {
  const size = gzipSync(source.get(name), { level: 9 }).length;
  if (initial.has(name)) total += size;
  console.log(`${String(size).padStart(8)} B gz  ${initial.has(name) ? "initial" : "lazy   "}  ${name}`);
}
console.log(`${String(total).padStart(8)} B gz  initial JavaScript, worker included; budget ${BUDGET}`);
if (total > BUDGET) {
  console.error("initial JavaScript is over its budget");
  process.exit(1);
}
