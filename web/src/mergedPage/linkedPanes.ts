/** Panes side by side that show the same moment: the one that a person moves leads, and the others follow it. */
import { signal } from "@preact/signals";

export interface Linkable {
  onLook: ((time: number | null) => void) | null;
  /** Bring a time (µs) to the top, unless `wanted` is false by the time its line is known. */
  showTime(time: number, wanted: () => boolean): Promise<void>;
  follow(): void;
}

/** Move the other panes at most this often during scrolling. */
const PAUSE_MS = 120;
const TOUCHES = ["pointerdown", "wheel", "touchstart", "keydown", "focusin"] as const;

export class LinkedPanes {
  readonly on = signal(true);
  private readonly views = new Set<Linkable>();
  private leader: Linkable | null = null;
  /** The last leading pane, and the time that it showed. */
  private moved: { readonly view: Linkable; readonly time: number | null } | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Add a pane and return a function that removes it. Input on `element` makes the pane lead. */
  join(view: Linkable, element: Pick<HTMLElement, "addEventListener" | "removeEventListener">): () => void {
    this.views.add(view);
    const lead = (): void => {
      this.leader = view;
    };
    for (const touch of TOUCHES) element.addEventListener(touch, lead, { passive: true });
    view.onLook = (time) => this.look(view, time);
    return () => {
      for (const touch of TOUCHES) element.removeEventListener(touch, lead);
      view.onLook = null;
      this.views.delete(view);
      if (this.leader === view) this.leader = null;
      if (this.views.size === 0) clearTimeout(this.timer);
    };
  }

  private look(view: Linkable, time: number | null): void {
    // A pane that moves because another leads must not move that one in turn.
    if (!this.on.peek() || view !== this.leader) return;
    this.moved = { view, time };
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.moved === null) return;
      const { view: first, time: moment } = this.moved;
      for (const other of this.views) {
        // The line for a time is known later: by then the link may be off, or a person may read in that pane.
        const wanted = (): boolean => this.on.peek() && other !== this.leader;
        if (other === first || !wanted()) continue;
        if (moment === null) other.follow();
        else other.showTime(moment, wanted).catch(() => undefined);
      }
    }, PAUSE_MS);
  }
}
