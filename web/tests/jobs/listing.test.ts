import { describe, expect, it } from "vitest";
import { countText } from "../../src/jobs/count";
import { parseFilter } from "../../src/jobs/filter";
import { groupOf, labelKeys, listingOf } from "../../src/jobs/listing";
import { Rates, rateText } from "../../src/jobs/rates";
import { shortHost, shortImage } from "../../src/jobs/record";
import { stateLabel } from "../../src/jobs/stateLabel";
import { record } from "./records";

const all = () => true;

describe("the filter", () => {
  const web = record({
    container: {
      name: "shop-web-1",
      image: "ghcr.io/acme/web:2.1",
      project: "shop",
      service: "web",
      labels: { tier: "front", "com.acme.team": "Red" },
    },
  });
  const dead = record({
    container: { name: "batch", host: "host-b" },
    life: { state: "exited", exit_code: 137, oom: true },
  });

  it.each([
    ["", true, true],
    ["SHOP", true, false],
    ["shop web", true, false],
    ["shop batch", false, false],
    ["-shop", false, true],
    ["state:running", true, false],
    ["state:137", false, true],
    ["state:oom", false, true],
    ["-state:running", false, true],
    ["host:host-b", false, true],
    ["image:acme/web", true, false],
    ["project:shop service:web", true, false],
    ["label:tier", true, false],
    ["label:tier=front", true, false],
    ["label:com.acme.team=red", true, false],
    ["label:none", false, false],
    ["web:2.1", true, false],
    ['"shop-web-1"', true, false],
    ["137", false, true],
    ["name:", true, true],
    ["\\(.*[", false, false],
  ])("%j", (typed, first, second) => {
    expect([web, dead].map(parseFilter(typed))).toEqual([first, second]);
  });
});

describe("the listing", () => {
  it("is newest first, then by id, so that rows keep their order", () => {
    const [a, b, c] = [
      record({ life: { created: 1 } }),
      record({ life: { created: 3 } }),
      record({ life: { created: 3 } }),
    ];
    const order = (records: (typeof a)[]) =>
      listingOf(records, all, "", new Set()).items.map((item) => item.kind === "job" && item.record.job);
    expect(order([a, b, c])).toEqual([b.job, c.job, a.job]);
    expect(order([c, a, b])).toEqual([b.job, c.job, a.job]);
  });

  it("groups by host, project, image or label, the group with the newest job first, the nameless last", () => {
    const records = [
      record({ container: { project: "old" }, life: { created: 1 } }),
      record({ container: { project: "new" }, life: { created: 2 } }),
      record({ life: { created: 3 } }),
      record({ container: { project: "old" }, life: { created: 4, state: "exited" } }),
    ];
    const { items, matching } = listingOf(records, all, "project", new Set(["new"]));
    expect(matching).toBe(4);
    expect(
      items.map((item) =>
        item.kind === "group" ? `${item.name}: ${item.jobs.length}, ${item.running} running` : item.record.life.created,
      ),
    ).toEqual(["old: 2, 1 running", 4, 1, "new: 1, 1 running", ": 1, 1 running", 3]);
    expect(groupOf(record({ container: { labels: { tier: "a" } } }), "label:tier")).toBe("a");
  });

  it("offers the labels that several jobs have", () => {
    const labels = (...keys: string[]) =>
      record({ container: { labels: Object.fromEntries(keys.map((key) => [key, "x"])) } });
    expect(labelKeys([labels("a", "b"), labels("b", "a", "c"), labels("b")])).toEqual(["b", "a"]);
  });

  it("lists each of five thousand jobs once", () => {
    const records = Array.from({ length: 5_000 }, (_, at) => record({ container: { host: `host-${at % 50}` } }));
    const { items } = listingOf(records, parseFilter("nginx"), "host", new Set());
    expect(new Set(items.map((item) => (item.kind === "job" ? item.record.job : item.name))).size).toBe(5_050);
  });

  it.each([
    ["nginx", "nginx"],
    ["registry.example:5000/team/web:1.2@sha256:abc", "team/web:1.2"],
    ["localhost/web", "web"],
    ["team/web", "team/web"],
    [`sha256:${"a".repeat(64)}`, "a".repeat(12)],
    ["", ""],
  ])("shortens the image %s to %s", (image, short) => {
    expect(shortImage(image)).toBe(short);
  });
});

it.each([
  ["ip-10-0-0-17.eu-west-1.compute.internal", "ip-10-0-0-17"],
  ["10.0.0.17", "10.0.0.17"],
  ["fe80::1", "fe80::1"],
  ["laptop", "laptop"],
])("shortens the host %s to %s", (host, short) => {
  expect(shortHost(host)).toBe(short);
});

describe("a job's state in words", () => {
  it.each([
    [{ state: "running" }, "running", "live"],
    [{ state: "running", restarts: 3 }, "running, restarted 3×", "live"],
    [{ state: "exited", exit_code: 0 }, "exited 0", "good"],
    [{ state: "exited", exit_code: 1 }, "exited 1", "bad"],
    [{ state: "exited", exit_code: 137, oom: true }, "exited 137 out of memory", "bad"],
    [{ state: "exited", exit_code: 137 }, "exited 137 killed", "bad"],
    [{ state: "exited", exit_code: 143 }, "exited 143 terminated", "bad"],
    [{ state: "exited", exit_code: null }, "exited", "quiet"],
    [{ state: "removed", exit_code: 0 }, "removed 0", "good"],
    [{ state: "removed", exit_code: null, oom: true }, "removed, out of memory", "bad"],
    [{ state: "restarting", exit_code: 1 }, "restarting 1", "bad"],
    [{ state: "paused" }, "paused", "warn"],
    [{ state: "lost" }, "lost: not seen for 5 min", "warn"],
    [{ state: "created" }, "created", "quiet"],
    [{ state: "a state of next year" }, "a state of next year", "quiet"],
  ])("%j", (life, words, tone) => {
    expect(stateLabel(record({ life }), 1_300_000)).toMatchObject({ words, tone });
  });
});

describe("the rate", () => {
  it("covers a running job's life at first, then the time since the previous record", () => {
    const rates = new Rates();
    const first = record({ tip: 1_000, seen: 1_000_000, last: 1_000_000, life: { started: 990_000 } });
    const note = (one: typeof first) => rates.note(new Map([[one.job, one]]));
    note(first);
    expect(rates.of(first)).toBe(100);
    const second = { ...first, tip: 1_050, seen: 1_005_000 };
    note(second);
    expect(rates.of(second)).toBe(10);
    note(second);
    expect(rates.of(second)).toBe(10);
    expect(rates.of({ ...second, life: { ...second.life, state: "exited" } })).toBeNull();
  });

  it.each([
    [0, "0"],
    [0.01, "0"],
    [0.34, "0.3"],
    [12.4, "12"],
    [999, "999"],
    [1_000, "1.0k"],
    [1_299, "1.2k"],
    [34_999, "34k"],
    [5_600_000, "5.6M"],
    [2e9, "2.0G"],
  ])("%d is written %s", (count, text) => {
    expect(countText(count)).toBe(text);
    expect(rateText(count)).toBe(`${text}/s`);
  });
});
