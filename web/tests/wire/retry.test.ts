import { describe, expect, test } from "vitest";
import { retryDelay } from "../../src/wire/retry";

describe("retryDelay", () => {
  const policy = { firstMs: 250, maxMs: 30_000 };

  test("doubles its bound with each attempt, up to the most", () => {
    const bounds = [0, 1, 2, 6, 7, 40].map((attempt) => retryDelay(policy, attempt, 0, () => 1));
    expect(bounds).toEqual([250, 500, 1_000, 16_000, 30_000, 30_000]);
  });

  test("spreads waits between the least and the bound", () => {
    expect([0, 0.5, 1].map((share) => retryDelay(policy, 2, 400, () => share))).toEqual([400, 900, 1_400]);
  });
});
