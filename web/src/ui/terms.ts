/** Term is for how long something is granted. */
export type Term = "ever" | "day" | "week" | "month" | "quarter";

/** terms in the order of a list, with their hours; none: until it is taken back. */
export const terms: Record<Term, { text: string; hours?: number }> = {
  ever: { text: "When taken back" },
  day: { text: "After a day", hours: 24 },
  week: { text: "After a week", hours: 7 * 24 },
  month: { text: "After 30 days", hours: 30 * 24 },
  quarter: { text: "After 90 days", hours: 90 * 24 },
};
