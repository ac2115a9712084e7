/** The only code that makes a worker's address a trusted one. */
interface Policy {
  createScriptURL(url: string): unknown;
}
interface Types {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

let policy: Policy | null = null;

/** Return a worker's address as a trusted URL. Throws TypeError for an address of another origin. */
export function scriptUrl(url: string): string {
  const types = (globalThis as { trustedTypes?: Types }).trustedTypes;
  if (types === undefined) return sameOrigin(url);
  policy ??= types.createPolicy("logferry", { createScriptURL: sameOrigin });
  return policy.createScriptURL(url) as string;
}

function sameOrigin(url: string): string {
  if (new URL(url, location.href).origin !== location.origin) throw new TypeError("The script is from another origin");
  return url;
}
