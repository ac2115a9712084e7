/** A strip beside the scroll bar: where the errors and the matches are, and what is seen. For eyes only: keys reach the same places. */

export interface Marks {
  readonly errors: Float64Array;
  readonly hits: Float64Array;
}

const NONE = new Float64Array(0);

export class Minimap {
  private marks: Marks = { errors: NONE, hits: NONE };
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

  /** Places are sequences of 1..total. */
  mark(marks: Partial<Marks>, total: number): void {
    this.marks = { ...this.marks, ...marks };
    this.total = total;
    this.soon();
  }

  look(first: number, last: number, total: number): void {
    this.seen = [first, last];
    this.total = total;
    this.soon();
  }

  private soon(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const { clientWidth, clientHeight } = this.canvas;
    const scale = devicePixelRatio;
    this.canvas.width = Math.round(clientWidth * scale);
    this.canvas.height = Math.round(clientHeight * scale);
    const pen = this.canvas.getContext("2d");
    if (pen === null || this.total === 0) return;
    const style = getComputedStyle(this.canvas);
    const { width, height } = this.canvas;
    const at = (place: number): number => (place / this.total) * height;
    pen.fillStyle = style.getPropertyValue("--map-seen") || "gray";
    pen.fillRect(0, at(this.seen[0]), width, Math.max(3 * scale, at(this.seen[1] - this.seen[0] + 1)));
    this.ticks(pen, this.marks.errors, style.getPropertyValue("--map-error") || "red", 0, width / 2, scale);
    this.ticks(pen, this.marks.hits, style.getPropertyValue("--map-hit") || "orange", width / 2, width / 2, scale);
  }

  /** One tick a pixel at most, however many marks fall on it. */
  private ticks(pen: CanvasRenderingContext2D, marks: Float64Array, colour: string, x: number, width: number, scale: number): void {
    pen.fillStyle = colour;
    const { height } = this.canvas;
    let last = -1;
    for (const sequence of marks) {
      const y = Math.floor(((sequence - 1) / this.total) * height);
      if (y === last) continue;
      last = y;
      pen.fillRect(x, y, width, Math.max(1, scale * 1.5));
    }
  }
}
