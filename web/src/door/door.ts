// The ways in, for the pages (Door of model.ts).

import { ask } from "../hub/http.ts";
import { type Door, type Invitation, type LinkAsk, Problem } from "../model.ts";
import type { Backup } from "../protocol/recovery.ts";
import { byPasskey, byPassword } from "../vault/logins.ts";
import { nameOf } from "./device.ts";
import { comeIn, type House, type Progress, settle } from "./house.ts";
import { deviceNameOf } from "./names.ts";
import { isHosts, join, readInvite } from "./join.ts";
import { Link } from "./linking.ts";
import { leaveFor, leftFor } from "./provider.ts";
import { recover } from "./recover.ts";

/** HubDoor is the Door of model.ts. */
export class HubDoor implements Door {
  readonly deviceName = nameOf(navigator.userAgent);
  readonly #house: House;

  constructor(house: House) {
    this.#house = house;
  }

  async look(code: string): Promise<Invitation> {
    const hub = await this.#house.hub();
    const invite = await readInvite(hub, code);
    return { hub: location.host, ...(isHosts(hub, invite) ? { inviter: "host" } : {}) };
  }

  async join(request: { code: string; handle: string; password?: string; device?: string }, progress: Progress): Promise<{ recovery: string }> {
    return { recovery: await join(this.#house, { ...request, device: request.device ?? this.deviceName }, progress) };
  }

  async password(name: string, password: string, progress: Progress): Promise<void> {
    await this.#enter(await byPassword(await this.#house.hub(), name, password, progress), progress);
  }

  async passkey(): Promise<void> {
    const { handle, backup } = await byPasskey(await this.#house.hub());
    if (!backup) {
      throw new Problem("refused", `This passkey says that you are ${handle}, but brings no keys. Link this browser from a device where you are signed in, or use your recovery code.`);
    }
    await this.#enter(backup, () => undefined);
  }

  async #enter(backup: Backup, progress: Progress): Promise<void> {
    const { held, by } = await comeIn(this.#house, backup, deviceNameOf(this.deviceName), progress);
    try {
      await settle(this.#house, held, by, progress);
    } catch (error) {
      await by.account.wire.close();
      throw error;
    }
  }

  provider(): void {
    leaveFor("who");
  }

  async back(): Promise<{ account?: string; handle?: string } | undefined> {
    if (!leftFor("who")) return undefined;
    return ask<{ account?: string; handle?: string }>("POST", "/api/oidc/who");
  }

  recover(code: string, progress: Progress): Promise<{ revoked?: string; problems: string[] }> {
    return recover(this.#house, code, deviceNameOf(this.deviceName), progress);
  }

  link(code: string | undefined, device: string): LinkAsk {
    return new Link(this.#house, code, device);
  }
}
