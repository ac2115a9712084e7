/**
 * The overlays that every page can open by key. Keys work from the start; the overlays' code loads in the background.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { register } from "../actions";
import { lazy } from "../ui/lazy";

const palette = async () => (await import("./Palette")).Palette;
const help = async () => (await import("./Help")).Help;
const OPENED = { palette: lazy(palette), help: lazy(help) };

export function GlobalOverlay() {
  const open = useSignal<keyof typeof OPENED | null>(null);
  useLayoutEffect(() => {
    const toggle = (what: keyof typeof OPENED) => () => (open.value = open.value === what ? null : what);
    return register([
      { id: "palette", title: "Show all commands", keys: ["Ctrl+K"], group: "Everywhere", run: toggle("palette") },
      { id: "help", title: "Show keyboard shortcuts", keys: ["?"], group: "Everywhere", run: toggle("help") },
    ]);
  }, []);
  useEffect(() => {
    // Load both early so that they open at once. A failed load is repeated when the overlay is opened.
    for (const load of [palette, help]) load().catch(() => undefined);
  }, []);
  if (open.value === null) return null;
  const Opened = OPENED[open.value];
  return <Opened close={() => (open.value = null)} />;
}
