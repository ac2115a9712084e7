/** Create a component that loads when it is first shown: rarely used parts are not in the first load. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let known: ComponentType<P> | null = null;
  return function Lazy(properties: P) {
    const [failed, setFailed] = useState(false);
    const [, setLoaded] = useState(known !== null);
    useEffect(() => {
      if (known !== null) return;
      load().then(
        (component) => {
          known = component;
          setLoaded(true);
        },
        () => setFailed(true),
      );
    }, []);
    if (known !== null) {
      const Loaded = known;
      return <Loaded {...properties} />;
    }
    return failed ? (
      <p class="notice bad" role="alert">
        A part of the viewer could not be loaded. Check the network, then{" "}
        <a href={location.href} target="_self">
          reload the page
        </a>
        .
      </p>
    ) : null;
  };
}
