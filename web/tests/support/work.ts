/**
 * Counts the work of a function, the same on every machine: steps of a backtracking matcher for regular expressions,
 * and characters or elements that strings, arrays and JSON process natively. Tests compare the work on n characters
 * with that on 4n.
 *
 * While it counts, every expression runs twice: in the matcher below, which counts, and natively, which gives the
 * result. The two must agree on where a match begins and ends, so the count is of the same search. The matcher tries
 * what a backtracking engine tries, in the same order.
 *
 * Not counted: `+` on strings, and loops over indexes. A loop that does more than read a character calls something
 * that is counted.
 */

/** More work than this per character is a failure, whatever the ratio: an exponential expression would not end. */
const MOST_STEPS_A_CHARACTER = 2_000;

let steps = 0;
let limit = Number.POSITIVE_INFINITY;

function spend(work: number): void {
  steps += work;
  if (steps > limit) throw new Error(`more than ${limit} steps`);
}

/** Return the work of one call. */
export function workOf(characters: number, run: () => unknown): number {
  steps = 0;
  limit = characters * MOST_STEPS_A_CHARACTER;
  const restore = patch();
  let work = 0;
  try {
    run();
    work = steps;
  } finally {
    // Restoring the functions is counted too, until it is done.
    limit = Number.POSITIVE_INFINITY;
    restore();
  }
  return work;
}

// --- native functions ----------------------------------------------------------------------------------------------

type Method = (...given: unknown[]) => unknown;

function patch(): () => void {
  const undo: (() => void)[] = [];
  const around = (
    owner: object,
    name: PropertyKey,
    cost: (self: unknown, given: unknown[], result: unknown) => number,
  ): void => {
    const known = Object.getOwnPropertyDescriptor(owner, name);
    if (known === undefined) return;
    const method = known.value as Method;
    Object.defineProperty(owner, name, {
      ...known,
      value: function (this: unknown, ...given: unknown[]): unknown {
        const result = Reflect.apply(method, this, given);
        spend(1 + cost(this, given, result));
        return result;
      },
    });
    undo.push(() => Object.defineProperty(owner, name, known));
  };
  const length = (self: unknown): number => (self as { length: number }).length;
  const resulting = (_: unknown, __: unknown[], result: unknown): number => length(result ?? "");
  for (const name of ["slice", "substring", "repeat", "padStart", "padEnd", "concat"])
    around(String.prototype, name, resulting);
  for (const name of [
    "trim",
    "trimStart",
    "trimEnd",
    "toLowerCase",
    "toUpperCase",
    "normalize",
    "split",
    "replaceAll",
    Symbol.iterator,
  ])
    around(String.prototype, name, length);
  around(String.prototype, "includes", length);
  for (const name of ["indexOf", "lastIndexOf"]) {
    around(String.prototype, name, (self, [, from], found) =>
      name === "indexOf" && (found as number) >= 0
        ? (found as number) - Number(from ?? 0)
        : length(self) - Number(from ?? 0),
    );
  }
  for (const name of ["startsWith", "endsWith"]) around(String.prototype, name, (_, [sought]) => String(sought).length);
  for (const name of ["slice", "concat", "map", "filter", "flatMap", "flat"]) around(Array.prototype, name, resulting);
  for (const name of [
    "indexOf",
    "includes",
    "find",
    "findIndex",
    "some",
    "every",
    "reverse",
    "sort",
    "fill",
    "shift",
    "unshift",
    "entries",
  ])
    around(Array.prototype, name, length);
  around(Array.prototype, "join", resulting);
  around(
    Array.prototype,
    "splice",
    (self, [from, , ...added]) => Math.max(0, length(self) - Number(from)) + added.length,
  );
  around(JSON, "parse", (_, [text]) => String(text).length);
  around(JSON, "stringify", resulting);
  around(TextEncoder.prototype, "encode", resulting);
  // All expressions call it: `test`, `replace`, `matchAll`, `search` and `split` go through it.
  const exec = Object.getOwnPropertyDescriptor(RegExp.prototype, "exec") as PropertyDescriptor;
  Object.defineProperty(RegExp.prototype, "exec", { ...exec, value: countedExec });
  undo.push(() => Object.defineProperty(RegExp.prototype, "exec", exec));
  return () => {
    for (const one of undo.reverse()) one();
  };
}

const nativeExec = RegExp.prototype.exec;

function countedExec(this: RegExp, text: string): RegExpExecArray | null {
  const from = this.global || this.sticky ? this.lastIndex : 0;
  const span = match(this, String(text), from);
  const found = nativeExec.call(this, text);
  const [begin, end] = found === null ? [-1, -1] : [found.index, found.index + (found[0] as string).length];
  if (begin !== span[0] || end !== span[1])
    throw new Error(`${String(this)}: the counting matcher found ${span.join("..")}, the engine ${begin}..${end}`);
  return found;
}

// --- a backtracking matcher -----------------------------------------------------------------------------------------

type Node =
  | { is: "character"; test(character: string): boolean }
  | { is: "assert"; holds(text: string, at: number): boolean }
  | { is: "look"; ahead: boolean; wanted: boolean; node: Node }
  | { is: "sequence"; nodes: Node[] }
  | { is: "choice"; nodes: Node[] }
  | { is: "repeat"; node: Node; least: number; most: number; lazy: boolean };

type Step =
  | { do: "character"; test(character: string): boolean }
  | { do: "assert"; holds(text: string, at: number): boolean }
  | { do: "look"; ahead: boolean; wanted: boolean; program: readonly Step[] }
  | { do: "split"; first: number; second: number }
  | { do: "jump"; to: number }
  | { do: "enter" | "progress"; loop: number }
  | { do: "match" };

const programs = new Map<string, readonly Step[]>();

/** Return where an expression first matches from an index on; [-1, -1] when it does not. */
function match(expression: RegExp, text: string, from: number): [number, number] {
  const key = String(expression);
  let program = programs.get(key);
  if (program === undefined) {
    program = uncounted(() => compile(parse(expression.source, expression.flags)));
    programs.set(key, program);
  }
  for (let start = from; start <= text.length; start++) {
    const end = run(program, text, start, expression.unicode);
    if (end >= 0) return [start, end];
    if (expression.sticky) break;
  }
  return [-1, -1];
}

function run(program: readonly Step[], text: string, start: number, unicode: boolean): number {
  const waiting: { pc: number; at: number; loops: readonly number[] }[] = [];
  let [pc, at, loops] = [0, start, [] as readonly number[]];
  for (;;) {
    spend(1);
    const step = program[pc] as Step;
    let holds = true;
    switch (step.do) {
      case "match":
        return at;
      case "character": {
        const character = unicode ? String.fromCodePoint(text.codePointAt(at) ?? 0) : (text[at] ?? "");
        holds = at < text.length && step.test(character);
        if (holds) [pc, at] = [pc + 1, at + character.length];
        break;
      }
      case "assert":
        holds = step.holds(text, at);
        pc++;
        break;
      case "look": {
        // Lookbehinds have one character here.
        const found = step.ahead
          ? run(step.program, text, at, unicode) >= 0
          : at > 0 && run(step.program, text, at - 1, unicode) === at;
        holds = found === step.wanted;
        pc++;
        break;
      }
      case "split":
        waiting[waiting.length] = { pc: step.second, at, loops };
        pc = step.first;
        break;
      case "jump":
        pc = step.to;
        break;
      case "enter": {
        const next = Array.from(loops);
        next[step.loop] = at;
        loops = next;
        pc++;
        break;
      }
      case "progress":
        holds = loops[step.loop] !== at;
        pc++;
        break;
    }
    if (holds) continue;
    const back = waiting[waiting.length - 1];
    if (back === undefined) return -1;
    waiting.length--;
    ({ pc, at, loops } = back);
  }
}

function compile(node: Node): readonly Step[] {
  const program: Step[] = [];
  let loops = 0;
  const add = (step: Step): number => program.push(step) - 1;
  const emit = (one: Node): void => {
    if (one.is === "character") add({ do: "character", test: one.test });
    else if (one.is === "assert") add({ do: "assert", holds: one.holds });
    else if (one.is === "look") add({ do: "look", ahead: one.ahead, wanted: one.wanted, program: compile(one.node) });
    else if (one.is === "sequence") for (const part of one.nodes) emit(part);
    else if (one.is === "choice") {
      const ends: number[] = [];
      for (let nth = 0; nth < one.nodes.length; nth++) {
        if (nth === one.nodes.length - 1) emit(one.nodes[nth] as Node);
        else {
          const split = add({ do: "split", first: program.length + 1, second: 0 });
          emit(one.nodes[nth] as Node);
          ends[ends.length] = add({ do: "jump", to: 0 });
          program[split] = { do: "split", first: split + 1, second: program.length };
        }
      }
      for (const end of ends) program[end] = { do: "jump", to: program.length };
    } else {
      const branch = (at: number, into: number, past: number): void => {
        program[at] = one.lazy
          ? { do: "split", first: past, second: into }
          : { do: "split", first: into, second: past };
      };
      for (let nth = 0; nth < one.least; nth++) emit(one.node);
      if (one.most === Number.POSITIVE_INFINITY) {
        // A part that may match nothing must not repeat doing so.
        const loop = mayBeEmpty(one.node) ? loops++ : null;
        const split = add({ do: "jump", to: 0 });
        if (loop !== null) add({ do: "enter", loop });
        emit(one.node);
        if (loop !== null) add({ do: "progress", loop });
        add({ do: "jump", to: split });
        branch(split, split + 1, program.length);
      } else {
        const splits: number[] = [];
        for (let nth = one.least; nth < one.most; nth++) {
          splits[splits.length] = add({ do: "jump", to: 0 });
          emit(one.node);
        }
        for (const split of splits) branch(split, split + 1, program.length);
      }
    }
  };
  emit(node);
  add({ do: "match" });
  return program;
}

function mayBeEmpty(node: Node): boolean {
  if (node.is === "sequence") return node.nodes.every(mayBeEmpty);
  if (node.is === "choice") return node.nodes.some(mayBeEmpty);
  return node.is === "repeat" ? node.least === 0 || mayBeEmpty(node.node) : node.is !== "character";
}

/** Parses this repository's expressions; anything else, such as backreferences, is an error. */
function parse(source: string, flags: string): Node {
  const charFlags = [...flags].filter((flag) => "ius".includes(flag)).join("");
  let at = 0;
  const choice = (): Node => {
    const nodes = [sequence()];
    while (source[at] === "|") {
      at++;
      nodes.push(sequence());
    }
    return nodes.length === 1 ? (nodes[0] as Node) : { is: "choice", nodes };
  };
  const sequence = (): Node => {
    const nodes: Node[] = [];
    while (at < source.length && source[at] !== "|" && source[at] !== ")") nodes.push(quantified());
    return { is: "sequence", nodes };
  };
  const quantified = (): Node => {
    const node = atom();
    const found = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)/.exec(source.slice(at));
    if (found === null) return node;
    at += (found[0] as string).length;
    const [, mark, least, comma, most, lazy] = found;
    const bounds: [number, number] =
      mark === "*"
        ? [0, Number.POSITIVE_INFINITY]
        : mark === "+"
          ? [1, Number.POSITIVE_INFINITY]
          : mark === "?"
            ? [0, 1]
            : [
                Number(least),
                comma === undefined ? Number(least) : most === "" ? Number.POSITIVE_INFINITY : Number(most),
              ];
    return { is: "repeat", node, least: bounds[0], most: bounds[1], lazy: lazy === "?" };
  };
  const atom = (): Node => {
    const rest = source.slice(at);
    const opened = /^\((?:\?(?:(:)|(<?)([=!])|<\w+>))?/.exec(rest);
    if (opened !== null) {
      at += (opened[0] as string).length;
      const node = choice();
      if (source[at++] !== ")") throw new Error(`${source}: a group without an end`);
      return opened[3] === undefined ? node : { is: "look", ahead: opened[2] !== "<", wanted: opened[3] === "=", node };
    }
    if (rest[0] === "^" || rest[0] === "$") {
      at++;
      const [line, begin] = [flags.includes("m"), rest[0] === "^"];
      return {
        is: "assert",
        holds: (text, place) => {
          const next = begin ? text[place - 1] : text[place];
          return (
            next === undefined || (line && (next === "\n" || next === "\r" || next === "\u2028" || next === "\u2029"))
          );
        },
      };
    }
    if (/^\\[bB]/.test(rest)) {
      at += 2;
      const word = (character: string | undefined): boolean =>
        character !== undefined && nativeExec.call(/\w/, character) !== null;
      return {
        is: "assert",
        holds: (text, place) => (word(text[place - 1]) !== word(text[place])) === (rest[1] === "b"),
      };
    }
    const [taken] =
      /^(?:\[(?:[^\]\\]|\\[\s\S])*\]|\\(?:u\{[0-9a-f]+\}|u[0-9a-f]{4}|x[0-9a-f]{2}|[pP]\{[^}]*\}|[^1-9k])|[^\\])/i.exec(
        rest,
      ) ?? [];
    if (taken === undefined) throw new Error(`${source}: not known at ${rest}`);
    at += taken.length;
    // The engine itself decides whether a character matches, once for each character.
    const single = new RegExp(`^(?:${taken})$`, charFlags);
    const known = new Map<string, boolean>();
    return {
      is: "character",
      test: (character) => {
        let is = known.get(character);
        if (is === undefined) {
          is = nativeExec.call(single, character) !== null;
          known.set(character, is);
        }
        return is;
      },
    };
  };
  const node = choice();
  if (at < source.length) throw new Error(`${source}: not known at ${source.slice(at)}`);
  return node;
}

/** Parsing an expression is not counted as work of its user. */
function uncounted<T>(run: () => T): T {
  const counted = Object.getOwnPropertyDescriptor(RegExp.prototype, "exec") as PropertyDescriptor;
  const [before, most] = [steps, limit];
  limit = Number.POSITIVE_INFINITY;
  Object.defineProperty(RegExp.prototype, "exec", { ...counted, value: nativeExec });
  try {
    return run();
  } finally {
    Object.defineProperty(RegExp.prototype, "exec", counted);
    [steps, limit] = [before, most];
  }
}
