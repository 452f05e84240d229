// Which model answers: its name beside the composer, with its state while it is not ready.

import { call, said } from "../api/http";
import * as chat from "../chat/current";
import { chatModels, chosen, current, nameOf, refreshModels } from "../models";
import { bytes } from "../words";
import { go } from "../route";
import { Menu } from "./menu";

export const stateWords = { absent: "not in memory", starting: "starting", loading: "loading", ready: "ready", stopping: "leaving memory", quarantined: "set aside: its worker keeps dying" };

export function ModelChoice() {
  const model = current.value;
  if (!model) return null;
  const choices = chatModels.value.map((one) => ({
    says: `${one.id === model.id ? "✓ " : ""}${nameOf(one)} · ${bytes(one.size_bytes)} · ${stateWords[one.state]}`,
    act: () => choose(one.id),
  }));
  return (
    <Menu label={`Model: ${nameOf(model)}, ${stateWords[model.state]}`} choices={[...choices, { says: "More models…", act: () => go("#/models") }]} className="quiet model-choice">
      <span class="model-name">{nameOf(model)}</span>
      {model.state !== "ready" && <span class="model-state">{stateWords[model.state]}</span>}
    </Menu>
  );
}

function choose(id: string): void {
  chosen.value = id;
  void refreshModels();
  const conversation = chat.id.value;
  if (conversation) void call("PATCH", `/lares/v1/conversations/${encodeURIComponent(conversation)}`, { model: id }).catch((error) => (chat.complaint.value = said(error)));
}
