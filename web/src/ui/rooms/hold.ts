// A list that grows above and below what somebody looks at, and must not move under their eyes. Browsers anchor
// scrolling differently, some not at all, so the anchor is kept here: by an element, or by the end.

/** near is how many pixels from an edge count as being there. */
const near = 32;

/** Hold keeps a scrolled frame where it is while its content changes. */
export class Hold {
  #frame: HTMLElement;
  /** where one is: at the end, or so far below the top of the frame an element begins. */
  #at: "end" | { element: HTMLElement; id: string; top: number } = "end";
  /** put is where the frame was put last: as long as it is there, nobody has scrolled, whatever else has moved. */
  #put = -1;

  constructor(frame: HTMLElement) {
    this.#frame = frame;
  }

  /** atEnd says whether the frame is kept at its end. */
  get atEnd(): boolean {
    return this.#at === "end";
  }

  /** toEnd keeps the frame at its end from now on. */
  toEnd(): void {
    this.#at = "end";
    this.keep();
  }

  /** to puts an element a little below the top of the frame. */
  to(element: HTMLElement, below: number): void {
    const top = element.getBoundingClientRect().top - this.#frame.getBoundingClientRect().top;
    this.#scroll(this.#frame.scrollTop + top - below);
    this.#note(true);
  }

  /** look takes note of where somebody has scrolled to; ends says whether the frame's last element is the newest there is. */
  look(ends: boolean): void {
    if (this.#frame.scrollTop === this.#put) this.keep();
    else this.#note(ends);
  }

  #note(ends: boolean): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#frame;
    if (ends && scrollHeight - scrollTop - clientHeight <= near) {
      this.#at = "end";
      return;
    }
    const edge = this.#frame.getBoundingClientRect().top;
    const element = first(this.#elements(), (one) => one.getBoundingClientRect().bottom > edge);
    if (element !== undefined) this.#at = { element, id: element.dataset.message ?? "", top: element.getBoundingClientRect().top - edge };
  }

  /** keep puts the frame where it was, after its content or its size has changed. */
  keep(): void {
    if (this.#at === "end") {
      this.#scroll(this.#frame.scrollHeight);
      return;
    }
    const { element, id, top } = this.#at;
    const there = element.isConnected ? element : this.#elements().find((one) => one.dataset.message === id);
    if (there === undefined) return;
    const moved = there.getBoundingClientRect().top - this.#frame.getBoundingClientRect().top - top;
    if (Math.abs(moved) >= 1) this.#scroll(this.#frame.scrollTop + moved);
  }

  #scroll(top: number): void {
    this.#frame.scrollTop = top;
    this.#put = this.#frame.scrollTop;
  }

  #elements(): HTMLElement[] {
    return [...this.#frame.querySelectorAll<HTMLElement>("[data-message]")];
  }
}

/** first of a list whose members do not hold and from somewhere on do. */
function first<T>(list: readonly T[], holds: (one: T) => boolean): T | undefined {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return list[low];
}
