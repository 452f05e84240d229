// A part of the page whose code is fetched when it is first shown.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

export function lazy(load: () => Promise<ComponentType>): ComponentType {
  let loaded: ComponentType | null = null;
  return function Lazy() {
    const [Part, setPart] = useState<{ of: ComponentType } | null>(loaded ? { of: loaded } : null);
    useEffect(() => {
      if (!Part) void load().then((part) => setPart({ of: (loaded = part) }));
    }, []);
    return Part ? <Part.of /> : <p class="aside part-body" role="status">Opening…</p>;
  };
}
