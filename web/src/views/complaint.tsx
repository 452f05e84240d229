// What went wrong with what the person did, said at the place where they did it.

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { said } from "../api/http";

const wrong = signal({ at: "", text: "" });

/** Does it, and says at the place `at` what went wrong. Returns whether nothing did. */
export async function attempt(at: string, act: () => Promise<unknown>): Promise<boolean> {
  wrong.value = { at: "", text: "" };
  try {
    await act();
    return true;
  } catch (error) {
    wrong.value = { at, text: said(error) };
    return false;
  }
}

export function Complaint({ at }: { at: string }) {
  const line = useRef<HTMLParagraphElement>(null);
  const text = wrong.value.at === at ? wrong.value.text : "";
  useLayoutEffect(() => line.current?.scrollIntoView({ block: "nearest" }), [text]);
  return text ? <p ref={line} class="complaint" role="alert">{text}</p> : null;
}
