// Which model answers: its name beside the composer, with its state while it is not ready.

import { call, said } from "../api/http";
import * as chat from "../chat/current";
import { chatModels, current, exactName, idBeside, nameOf, prefer } from "../models";
import { bytes } from "../words";
import { go } from "../route";
import { Menu } from "./menu";

export const stateWords = { absent: "not in memory", starting: "starting", loading: "loading", ready: "ready", stopping: "leaving memory", quarantined: "set aside: its worker keeps dying" };

export function ModelChoice() {
  const model = current.value;
  if (!model) return null;
  const choices = chatModels.value.map((one) => ({
    key: one.id,
    says: [`${one.id === model.id ? "✓ " : ""}${nameOf(one)}`, idBeside(one), bytes(one.size_bytes), stateWords[one.state]].filter(Boolean).join(" · "),
    act: () => choose(one.id),
  }));
  return (
    <Menu label={`Model: ${exactName(model)}, ${stateWords[model.state]}`} choices={[...choices, { says: "More models…", act: () => go("#/models") }]} className="quiet model-choice">
      <span class="model-name">{nameOf(model)}</span>
      {idBeside(model) && <span class="model-state">{idBeside(model)}</span>}
      {model.state !== "ready" && <span class="model-state">{stateWords[model.state]}</span>}
    </Menu>
  );
}

/** That model answers from now on, in the open conversation too. */
export function choose(id: string): void {
  prefer(id);
  const conversation = chat.id.value;
  if (conversation) void call("PATCH", `/lares/v1/conversations/${encodeURIComponent(conversation)}`, { model: id }).catch((error) => (chat.complaint.value = said(error)));
}
