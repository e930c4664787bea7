// The app begins here.

import { h, render } from "preact";

import { HubKeyhall } from "./keyhall.ts";
import { App } from "./ui/app.tsx";

const keyhall = new HubKeyhall();
void keyhall.begin();
render(h(App, { keyhall }), document.getElementById("app")!);
