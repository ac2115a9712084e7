/**
 * The worker that tests a person's expression on texts. It is separate, so that it can be ended with an endless
 * expression.
 */
import { expressionOf } from "../index/query";
import { matchRanges } from "./matchRanges";
import type { TrialAnswer, TrialRequest } from "./trialMessages";

const owner = self as unknown as {
  postMessage(answer: TrialAnswer): void;
  onmessage: ((event: MessageEvent<TrialRequest>) => void) | null;
};

const REPORT_MS = 200;

owner.onmessage = ({ data: { query, texts, what } }) => {
  const expression = expressionOf(query);
  let reported = performance.now();
  const each = <T>(step: (text: string, expression: RegExp) => T, otherwise: T): T[] =>
    texts.map((text) => {
      const made = expression === null ? otherwise : step(text, expression);
      if (performance.now() - reported > REPORT_MS) {
        owner.postMessage("alive");
        reported = performance.now();
      }
      return made;
    });
  if (what === "ranges") owner.postMessage(each<readonly number[]>(matchRanges, []));
  else {
    owner.postMessage(
      each((text, asked) => {
        asked.lastIndex = 0;
        return asked.test(text);
      }, true),
    );
  }
};

owner.postMessage("alive");
