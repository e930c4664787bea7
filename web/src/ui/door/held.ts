import { signal } from "@preact/signals";

/** Way is a way in that has something to say before it lets go. */
export type Way = "join" | "recover";

/**
 * held keeps the door on the screen although the person is in: their recovery code is still to be written down, or what came of a
 * recovery to be read.
 */
export const held = signal<Way | undefined>(undefined);
