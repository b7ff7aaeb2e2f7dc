/** Bytes that come in by and by, in one buffer: a list of many short or empty chunks would take far more memory than they have bytes. */
export class GrowingBytes {
  #buffer = new Uint8Array();
  #size = 0;

  /** Copies a chunk, which may be used again. */
  add(chunk: Uint8Array): void {
    const size = this.#size + chunk.byteLength;
    if (size > this.#buffer.byteLength) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#size));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#size);
    this.#size = size;
  }

  /** All of them; a view, whose buffer is at most twice as long. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#size);
  }
}
