/** Panes side by side that show the same moment: the one that a person moves leads, the others follow it. */
import { signal } from "@preact/signals";

export interface Linkable {
  onLook: ((time: number | null) => void) | null;
  /** Brings a time (µs) to the top, if that is `wanted` still when it is known where that is. */
  showTime(time: number, wanted: () => boolean): Promise<void>;
  follow(): void;
}

/** The others are moved at most this often while one is scrolled. */
const PAUSE_MS = 120;
const TOUCHES = ["pointerdown", "wheel", "touchstart", "keydown", "focusin"] as const;

export class LinkedTime {
  readonly on = signal(true);
  private readonly views = new Set<Linkable>();
  private leader: Linkable | null = null;
  /** Where the one that led last was last. */
  private moved: { readonly view: Linkable; readonly time: number | null } | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Returns how to leave. `element` is where a person's touch makes this one lead. */
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
    // What moves because another leads must not lead that one back.
    if (!this.on.peek() || view !== this.leader) return;
    this.moved = { view, time };
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.moved === null) return;
      const { view: first, time: moment } = this.moved;
      for (const other of this.views) {
        // Where a moment lies is known a while later: by then it may be switched off, or a person may have begun to read there.
        const wanted = (): boolean => this.on.peek() && other !== this.leader;
        if (other === first || !wanted()) continue;
        if (moment === null) other.follow();
        else other.showTime(moment, wanted).catch(() => undefined);
      }
    }, PAUSE_MS);
  }
}
