/**
 * Fails when a regular expression takes more than linear time on some text. Checks this folder's sources and a given list.
 *
 *     node scripts/expressions.mjs [--sources FOLDER]... [--list FILE.json] [--cache FILE.json]
 *
 * recheck decides for each expression, by its automaton or by attacking it. An expression needs a comment on its line or
 * just above it (`recheck: why this is harmless`) if recheck finds it slow, cannot decide, or if its source is not known
 * before the program runs. A comment on a safe expression is out of date, and also a failure. The list (`-` is standard
 * input) holds expressions of other languages as JavaScript's, written by infra/checks/expressions.py:
 * {file, line, source, flags, excuse}, with a source of null when it is not known.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { check } from "recheck";
import ts from "typescript";

const HOME = fileURLToPath(new URL("../../", import.meta.url));
/** Part of the cache's keys: another version of recheck may decide differently. */
const RECHECK = JSON.parse(
  readFileSync(new URL("../node_modules/recheck/package.json", import.meta.url), "utf8"),
).version;
/**
 * The verdict must not depend on the machine's load: no attack is ended by a clock, only by its count. 1,000 steps per
 * character count as slow. Repetitions of a few hundred are left to the automaton, which is exact.
 */
const PARAMETERS = {
  timeout: 300_000,
  randomSeed: 0,
  seedingTimeout: null,
  incubationTimeout: null,
  attackTimeout: null,
  attackLimit: 30_000_000,
  maxAttackStringSize: 30_000,
  maxRepeatCount: 300,
};
/** How far above an expression its comment may begin, in lines. */
const COMMENT_LINES = 4;

function* filesIn(path) {
  if (statSync(path).isDirectory()) for (const name of readdirSync(path)) yield* filesIn(join(path, name));
  else if (/\.(?:ts|tsx|mjs)$/.test(path)) yield path;
}

/** Return every expression of TypeScript and JavaScript sources, with constants inserted. */
function expressionsOf(folders) {
  const paths = folders.flatMap((folder) => [...filesIn(folder)]);
  const program = ts.createProgram(paths, {
    allowJs: true,
    noEmit: true,
    noLib: true,
    types: [],
    jsx: ts.JsxEmit.Preserve,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  });
  const checker = program.getTypeChecker();

  /** Return the text that an expression stands for; null when only a running program knows it. */
  const textOf = (node, depth = 0) => {
    if (node === undefined || depth > 20) return null;
    if (ts.isStringLiteralLike(node)) return node.text;
    if (ts.isRegularExpressionLiteral(node)) return literal(node).source;
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return textOf(node.expression, depth + 1);
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
      const [left, right] = [textOf(node.left, depth + 1), textOf(node.right, depth + 1)];
      return left === null || right === null ? null : left + right;
    }
    if (ts.isTemplateExpression(node)) return templateOf(node, (part) => part.text, depth);
    if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === "String.raw") {
      const { template } = node;
      return ts.isTemplateExpression(template) ? templateOf(template, (part) => part.rawText, depth) : template.rawText;
    }
    if (ts.isPropertyAccessExpression(node) && node.name.text === "source") return textOf(node.expression, depth + 1);
    if (ts.isIdentifier(node)) {
      let symbol = checker.getSymbolAtLocation(node);
      if (symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
      const made = symbol?.valueDeclaration;
      const constant =
        made !== undefined && ts.isVariableDeclaration(made) && ts.getCombinedNodeFlags(made) & ts.NodeFlags.Const;
      return constant ? textOf(made.initializer, depth + 1) : null;
    }
    return null;
  };
  const templateOf = (node, raw, depth) => {
    let text = raw(node.head);
    for (const part of node.templateSpans) {
      const value = textOf(part.expression, depth + 1);
      if (value === null) return null;
      text += value + raw(part.literal);
    }
    return text;
  };

  const found = [];
  for (const file of program.getSourceFiles()) {
    if (!paths.includes(file.fileName)) continue;
    const lines = file.text.split("\n");
    const add = (node, source, flags) => {
      const line = file.getLineAndCharacterOfPosition(node.getStart()).line;
      found.push({ file: relative(HOME, file.fileName), line: line + 1, source, flags, excuse: excuseAt(lines, line) });
    };
    const visit = (node) => {
      if (ts.isRegularExpressionLiteral(node)) {
        const { source, flags } = literal(node);
        add(node, source, flags);
      } else if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === "RegExp") {
        const [source, flags] = node.arguments ?? [];
        add(node, source === undefined ? "" : textOf(source), flags === undefined ? "" : textOf(flags));
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return found;
}

function literal(node) {
  const end = node.text.lastIndexOf("/");
  return { source: node.text.slice(1, end), flags: node.text.slice(end + 1) };
}

/** Return the reason in an expression's comment; null without one. */
function excuseAt(lines, at) {
  for (let line = at; line >= Math.max(0, at - COMMENT_LINES); line--) {
    const text = lines[line];
    if (line < at && !/^\s*(?:\/\/|\*|\/\*)/.test(text)) break;
    const mark = text.indexOf("recheck: ");
    if (mark >= 0) return text.slice(mark + 9).trim();
  }
  return null;
}

async function verdictsOf(expressions, cacheFile) {
  let known = {};
  try {
    known = JSON.parse(readFileSync(cacheFile ?? "", "utf8"));
  } catch {
    // There is no cache yet.
  }
  const keyOf = ({ source, flags }) =>
    createHash("sha256")
      .update(JSON.stringify([RECHECK, PARAMETERS, source, flags]))
      .digest("hex");
  const verdicts = {};
  const waiting = [
    ...new Map(
      expressions.filter(({ source, flags }) => source !== null && flags !== null).map((one) => [keyOf(one), one]),
    ),
  ];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [key, { source, flags }] = next;
      if (known[key] === undefined) {
        const { status, complexity, attack, error } = await check(source, flags, PARAMETERS);
        verdicts[key] = { status, says: complexity?.summary ?? error?.kind ?? "", attack: attack?.pattern ?? "" };
      } else verdicts[key] = known[key];
    }
  };
  await Promise.all([work(), work()]);
  if (cacheFile !== undefined) {
    mkdirSync(dirname(cacheFile), { recursive: true });
    writeFileSync(cacheFile, JSON.stringify(verdicts));
  }
  return (one) => verdicts[keyOf(one)] ?? { status: "unknown", says: "made while the program runs", attack: "" };
}

const { values } = parseArgs({
  options: { sources: { type: "string", multiple: true }, list: { type: "string" }, cache: { type: "string" } },
});
const own = expressionsOf(values.sources ?? ["src", "scripts"].map((folder) => join(HOME, "web", folder)));
const listed = values.list === undefined ? [] : JSON.parse(readFileSync(values.list === "-" ? 0 : values.list, "utf8"));
const expressions = [...own, ...listed];
const verdictOf = await verdictsOf(expressions, values.cache);
const placeOf = ({ file, line }) => `${file}:${line}`;
/** Return where a comment applies. Several expressions of a line share it. */
const harmful = new Set(expressions.filter((one) => verdictOf(one).status !== "safe").map(placeOf));
let [failures, excused] = [0, 0];
for (const one of expressions) {
  const { status, says, attack } = verdictOf(one);
  if (status === "safe" ? one.excuse === null || harmful.has(placeOf(one)) : one.excuse !== null) {
    if (status !== "safe") excused++;
    continue;
  }
  failures++;
  const source = one.source === null ? "" : `: /${one.source.slice(0, 160)}/${one.flags}`;
  console.error(
    `${placeOf(one)}: ${status === "safe" ? `is safe, so its comment says what is not true any more (${one.excuse})` : `${status} (${says})`}${source}`,
  );
  if (attack !== "") console.error(`    slow on ${attack.slice(0, 160)}`);
}
console.log(
  `${expressions.length} regular expressions (${own.length} of TypeScript), ${excused} with a reason beside them, ${failures} to mend`,
);
// Exit explicitly: recheck's own process would keep this one alive.
process.exit(failures > 0 ? 1 : 0);
