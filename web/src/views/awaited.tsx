// How long an answer's first word has been waited for: for its turn, or while its model reads the prompt, beside how long that takes
// it here. Nothing is said of what comes at once.

import { useEffect, useState } from "preact/hooks";
import { planOf } from "../models";
import { seconds } from "../words";

const kSaidAfterMs = 1_500;
const kEveryMs = 1_000;

const told = (ms: number) => (ms < 60_000 ? `${Math.round(ms / 1_000)} s` : seconds(ms));

/** `tokens`: of the prompt that is read; 0 while it waits. */
export function Awaited({ model, since, tokens }: { model: string; since: number; tokens: number }) {
  const [now, setNow] = useState(Date.now());
  const [rate, setRate] = useState(0); // tokens per second
  const long = now - since >= kSaidAfterMs;
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), kEveryMs);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    if (!long || !tokens) return;
    void planOf(model).then(({ measured, predicted }) => setRate(measured?.prompt_tokens_per_s ?? predicted?.prompt_tokens_per_s ?? 0), () => {});
  }, [long, model, tokens]);
  if (!long) return <>…</>;
  if (!tokens) return <>waiting, {told(now - since)}…</>;
  const whole = rate > 0 ? (tokens / rate) * 1_000 : 0;
  return <>reading the prompt, {told(now - since)}{whole > now - since ? ` of about ${told(whole)}` : ""}…</>;
}
