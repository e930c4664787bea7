// The parts that pages are put together from. Import them from here.
//
//   Button, IconButton, ButtonLink   kind: primary (one a page) | plain | quiet | danger | danger-quiet
//   Form, Field, Select, Check, Choices   labels, hints and errors in place
//   Dialog, Confirm, Ends            modal, open as long as rendered
//   Menu                             a button with a list
//   Banner, Tag, Empty, Show, BoneRows, Spinner, Progress
//   Avatar, Trust, Time, Words, Code, CopyButton, QR, Icon
//   Page                             a page's heading, title and focus
//   useTask, useLoad, sentence       what takes a while and may fail
//   useUnsure, Unsure                before something is given to somebody who is known through the hub alone
//   announce                         "done" in the live region
//   useKeys                          shortcuts of a page, listed under ?
//
// In markup, classes stack (a column), line (a row that wraps), card, rows > row (> row-text > row-title + row-note, row-ends),
// quiet, small and unseen are for every page. Colours and sizes are in styles/tokens.css; there are no style attributes.

export * from "./announce.ts";
export * from "./banner.tsx";
export * from "./button.tsx";
export * from "./code.tsx";
export * from "./dialog.tsx";
export * from "./field.tsx";
export * from "./form.tsx";
export * from "./icon.tsx";
export * from "./keys.ts";
export * from "./menu.tsx";
export * from "./page.tsx";
export * from "./person.tsx";
export * from "./task.ts";
export * from "./time.tsx";
export * from "./unsure.tsx";
export * from "./waiting.tsx";
