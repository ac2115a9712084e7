// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JobsPage } from "../../src/jobs/JobsPage";
import { jobsLoaded, jobsProblem, records } from "../../src/state";
import type { JobRecord } from "../../src/wire/messages";
import { record } from "./records";

let opened: (readonly string[])[] = [];

function show(
  list: readonly JobRecord[],
  loaded = true,
  problem: { status: number; message: string } | null = null,
): void {
  act(() => {
    records.value = new Map(list.map((one) => [one.job, one]));
    jobsLoaded.value = loaded;
    jobsProblem.value = problem;
  });
}

function rows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("[data-job]")];
}

function type(text: string): void {
  const field = document.querySelector<HTMLInputElement>(".jobs-filter");
  if (field === null) throw new Error("no filter");
  act(() => {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

function press(key: string): void {
  act(() => {
    document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  });
}

beforeEach(() => {
  localStorage.clear();
  opened = [];
  show([], false);
  document.body.replaceChildren(document.createElement("div"));
  act(() => render(<JobsPage open={(jobs) => opened.push(jobs)} />, document.body.firstElementChild as Element));
});

afterEach(() => {
  act(() => render(null, document.body.firstElementChild as Element));
});

describe("the job list", () => {
  it("shows a job with a link to it, and follows its changes", () => {
    const one = record({ container: { name: "<b>api</b>" }, tip: 1_234 });
    show([one]);
    expect(rows()).toHaveLength(1);
    expect(rows()[0]?.dataset["state"]).toBe("running");
    expect(rows()[0]?.querySelector("a")?.getAttribute("href")).toBe(`?job=${one.job}`);
    expect(rows()[0]?.querySelector("a")?.textContent).toBe("<b>api</b>");
    expect(rows()[0]?.querySelector("b")).toBeNull();
    show([{ ...one, life: { ...one.life, state: "exited", exit_code: 137, oom: true } }]);
    expect(rows()[0]?.dataset["state"]).toBe("exited");
    expect(rows()[0]?.textContent).toContain("exited 137 out of memory");
    show([]);
    expect(rows()).toHaveLength(0);
  });

  it("filters while typing, counts the matches, and offers to clear a filter without any", () => {
    show([record({ container: { name: "api" } }), record({ container: { name: "worker" } })]);
    type("api");
    expect(rows()).toHaveLength(1);
    expect(document.querySelector(".jobs-count")?.textContent).toBe("1 of 2 jobs");
    type("nothing like it");
    expect(document.querySelector("[data-notice]")?.getAttribute("data-notice")).toBe("nothing");
    act(() => document.querySelector<HTMLElement>("[data-notice] button")?.click());
    expect(rows()).toHaveLength(2);
  });

  it("keeps few rows in the page, whatever the number of jobs", () => {
    show(Array.from({ length: 4_000 }, () => record()));
    expect(rows().length).toBeGreaterThan(0);
    expect(rows().length).toBeLessThan(100);
    expect(document.querySelector("[role=table]")?.getAttribute("aria-rowcount")).toBe("4001");
  });

  it("opens selected jobs together, and a whole group", () => {
    const [a, b, c] = [
      record({ container: { project: "shop" } }),
      record({ container: { project: "shop" } }),
      record(),
    ];
    show([a, b, c]);
    for (const job of [a.job, c.job])
      act(() => document.querySelector<HTMLElement>(`[data-job="${job}"] input`)?.click());
    act(() => document.querySelector<HTMLElement>(".jobs-chosen .button")?.click());
    expect(opened).toEqual([[a.job, c.job]]);
    const select = document.querySelector("select") as HTMLSelectElement;
    act(() => {
      select.value = "project";
      select.dispatchEvent(new Event("change", { bubbles: true }));
    });
    act(() => document.querySelector<HTMLElement>(".group-row .button")?.click());
    expect(opened[1]).toEqual([b.job, a.job]);
    act(() => document.querySelector<HTMLElement>(".group-name")?.click());
    expect(rows().map((row) => row.dataset["job"])).toEqual([c.job]);
  });

  it("is navigated by keys", () => {
    show(Array.from({ length: 300 }, () => record()));
    document.querySelector<HTMLElement>("[data-at='0'] a")?.focus();
    press("j");
    expect(document.activeElement?.closest("[data-at]")?.getAttribute("data-at")).toBe("1");
    press("End");
    expect(document.activeElement?.closest("[data-at]")?.getAttribute("data-at")).toBe("299");
    press("x");
    expect(document.querySelector(".jobs-chosen")?.textContent).toContain("1 chosen");
    press("Home");
    press("k");
    expect(document.activeElement?.closest("[data-at]")?.getAttribute("data-at")).toBe("0");
  });
});

describe("the notice of each state says what to do next", () => {
  const notice = (): string | null => document.querySelector("[data-notice]")?.getAttribute("data-notice") ?? null;

  it("loading, then empty with the command that fills it", () => {
    expect(notice()).toBe("loading");
    show([]);
    expect(notice()).toBe("empty");
    expect(document.querySelector("[data-notice]")?.textContent).toContain("logferry agent");
  });

  it.each([
    [0, "offline", "network"],
    [401, "expired", "Log in again"],
    [403, "forbidden", "Ask"],
    [500, "failed", "tries again"],
  ])("status %d is %s, and the known jobs stay", (status, kind, advice) => {
    show([record()], true, { status, message: "The service says so." });
    expect(notice()).toBe(kind);
    expect(document.querySelector("[role=alert]")?.textContent).toContain(advice);
    expect(rows()).toHaveLength(1);
  });

  it("an ended session offers the login", () => {
    let asked = 0;
    addEventListener("logferry:login", () => asked++, { once: true });
    show([record()], true, { status: 401, message: "" });
    act(() => document.querySelector<HTMLElement>("[data-notice] button")?.click());
    expect(asked).toBe(1);
  });
});
