/**
 * A strip beside the scroll bar that shows errors, matches and the viewport. It is visual only: keys reach the same
 * lines.
 */

export interface MinimapMarks {
  readonly errors: Float64Array;
  readonly hits: Float64Array;
}

const NONE = new Float64Array(0);

export class Minimap {
  private marks: MinimapMarks = { errors: NONE, hits: NONE };
  private ticks: { total: number; errors: readonly number[]; hits: readonly number[] } | null = null;
  private total = 0;
  private seen: [number, number] = [0, 0];
  private frame = 0;
  private readonly sizes: ResizeObserver;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    jump: (share: number) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      jump(event.offsetY / canvas.clientHeight);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons === 1) jump(Math.min(1, Math.max(0, event.offsetY / canvas.clientHeight)));
    });
    this.sizes = new ResizeObserver(() => this.soon());
    this.sizes.observe(canvas);
  }

  destroy(): void {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Set the marks, as sequences of 1..total. */
  mark(marks: Partial<MinimapMarks>, total: number): void {
    this.marks = { ...this.marks, ...marks };
    this.ticks = null;
    this.total = total;
    this.soon();
  }

  look(first: number, last: number, total: number): void {
    if (this.seen[0] === first && this.seen[1] === last && this.total === total) return;
    this.seen = [first, last];
    this.total = total;
    this.soon();
  }

  private soon(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const scale = devicePixelRatio;
    const [width, height] = [Math.round(this.canvas.clientWidth * scale), Math.round(this.canvas.clientHeight * scale)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.ticks = null;
    }
    const pen = this.canvas.getContext("2d");
    if (pen === null || this.total === 0) return;
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.canvas);
    const at = (index: number): number => (index / this.total) * height;
    pen.fillStyle = style.getPropertyValue("--map-seen") || "gray";
    pen.fillRect(0, at(this.seen[0]), width, Math.max(3 * scale, at(this.seen[1] - this.seen[0] + 1)));
    // There may be a million marks on a thousand pixels: compute ticks when marks change, not during scrolling.
    if (this.ticks === null || Math.abs(1 - this.ticks.total / this.total) * height > 1) {
      this.ticks = {
        total: this.total,
        errors: ticksOf(this.marks.errors, this.total, height),
        hits: ticksOf(this.marks.hits, this.total, height),
      };
    }
    const tick = Math.max(1, scale * 1.5);
    pen.fillStyle = style.getPropertyValue("--map-error") || "red";
    for (const y of this.ticks.errors) pen.fillRect(0, y, width / 2, tick);
    pen.fillStyle = style.getPropertyValue("--map-hit") || "orange";
    for (const y of this.ticks.hits) pen.fillRect(width / 2, y, width / 2, tick);
  }
}

/** Return the pixels of a strip that have marks, each once. */
export function ticksOf(marks: Float64Array, total: number, height: number): number[] {
  const ticks: number[] = [];
  let last = -1;
  for (const sequence of marks) {
    const y = Math.floor(((sequence - 1) / total) * height);
    if (y === last) continue;
    last = y;
    ticks.push(y);
  }
  return ticks;
}
