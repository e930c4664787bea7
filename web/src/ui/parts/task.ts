import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../../model.ts";

/** sentence is what a person reads of an error: a Problem's own words; of anything else, which is a defect, that it is one. */
export function sentence(error: unknown): string {
  if (error instanceof Problem) return error.message;
  console.error(error);
  return "Something went wrong here that should not have. Load the page again; if it happens once more, tell your host.";
}

/** Task is something that takes a while and may fail. */
export interface Task {
  readonly busy: boolean;
  /** problem is a sentence; undefined when the last run went well, was cancelled, or there was none. */
  readonly problem: string | undefined;
  readonly code: Problem["code"] | undefined;
  /** wait is for how many seconds it should not be tried again. */
  readonly wait: number;
  /** run starts it; a second one while one runs is ignored. It says whether it went well. */
  run(work: () => Promise<unknown>): Promise<boolean>;
  clear(): void;
}

interface State {
  busy: boolean;
  problem?: string;
  code?: Problem["code"];
  until?: number;
}

/** useTask runs what a button starts. */
export function useTask(): Task {
  const [state, set] = useState<State>({ busy: false });
  const running = useRef(false);
  const mounted = useRef(true);
  useEffect(() => () => void (mounted.current = false), []);
  const wait = useCountdown(state.until);
  const tell = (next: State) => mounted.current && set(next);
  const run = async (work: () => Promise<unknown>) => {
    if (running.current) return false;
    running.current = true;
    tell({ busy: true });
    try {
      await work();
      tell({ busy: false });
      return true;
    } catch (error) {
      tell(failure(error));
      return false;
    } finally {
      running.current = false;
    }
  };
  return { busy: state.busy, problem: state.problem, code: state.code, wait, run, clear: () => tell({ busy: false }) };
}

function failure(error: unknown): State {
  if (!(error instanceof Problem)) return { busy: false, problem: sentence(error) };
  if (error.code === "cancelled") return { busy: false };
  return { busy: false, problem: error.message, code: error.code, until: error.wait ? performance.now() + error.wait * 1000 : undefined };
}

function useCountdown(until: number | undefined): number {
  const left = until === undefined ? 0 : Math.max(0, Math.ceil((until - performance.now()) / 1000));
  const [, tick] = useState(0);
  useEffect(() => {
    if (until === undefined) return;
    const timer = setInterval(() => {
      tick((n) => n + 1);
      if (performance.now() >= until) clearInterval(timer);
    }, 500);
    return () => clearInterval(timer);
  }, [until]);
  return left;
}

/** Loaded is what useLoad has of something that is fetched: nothing yet, the thing, or why not. */
export interface Loaded<T> {
  readonly value: T | undefined;
  readonly problem: string | undefined;
  /** again fetches it anew; what is shown stays until then. */
  again(): Promise<void>;
}

/** useLoad fetches something when the page opens, and anew when one of inputs changes. */
export function useLoad<T>(load: () => Promise<T>, inputs: readonly unknown[] = []): Loaded<T> {
  const [state, set] = useState<{ value?: T; problem?: string }>({});
  const turn = useRef(0);
  const again = async () => {
    const mine = ++turn.current;
    try {
      const value = await load();
      if (mine === turn.current) set({ value });
    } catch (error) {
      if (mine === turn.current) set((before) => ({ value: before.value, problem: sentence(error) }));
    }
  };
  useEffect(() => {
    set({});
    void again();
    return () => void turn.current++;
  }, inputs);
  return { value: state.value, problem: state.problem, again };
}
