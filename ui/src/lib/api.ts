/** The API of the server: one way to ask, one kind of error. */

import type { Session } from "@/lib/types";

/** An error as the server tells it (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  readonly kind: string;
  readonly hint: string | null;

  constructor(status: number, kind: string, detail: string, hint: string | null = null) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.kind = kind;
    this.hint = hint;
  }
}

export type Parameter = string | number | boolean | null | undefined | readonly string[];

let csrf: string | null = null;

/** Keep the text that a browser's session sends along with each change. */
export function keepCsrf(text: string | null): void {
  csrf = text;
}

/** `/api/assets?q=a&limit=5`; what is null, undefined or an empty text is left out. */
export function address(path: string, parameters: Record<string, Parameter> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) for (const one of value) query.append(name, one);
    else query.append(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** What the server answers to a GET. Throws Problem. */
export function get<T>(
  path: string,
  parameters: Record<string, Parameter> = {},
  signal?: AbortSignal,
): Promise<T> {
  return ask<T>("GET", address(path, parameters), undefined, signal);
}

/** What the server answers to a change. Throws Problem. */
export async function change<T>(method: "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  try {
    return await ask<T>(method, path, body);
  } catch (error) {
    if (!(error instanceof Problem && error.kind === "csrf")) throw error;
    // Another tab has logged in anew: this one's text is that of a session that is over.
    keepCsrf((await get<Session>("/api/session")).csrf);
    return ask<T>(method, path, body);
  }
}

async function ask<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (method !== "GET" && csrf !== null) headers["x-csrf-token"] = csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server does not answer", "is `headwater serve` running?");
  }
  if (response.status === 204) return undefined as T;
  const document: unknown = await response.json().catch(() => null);
  if (!response.ok) throw problemOf(response.status, document);
  // Cut off, or the page of something that stands before the server: no answer of ours is null.
  if (document === null) throw new Problem(0, "unreadable", "The server's answer can't be read");
  return document as T;
}

function problemOf(status: number, document: unknown): Problem {
  const found = (document ?? {}) as { type?: string; detail?: string; title?: string; hint?: string | null };
  const kind = found.type?.replace("urn:headwater:error:", "") ?? "unknown";
  return new Problem(
    status,
    kind,
    found.detail ?? found.title ?? `The server answered ${status}`,
    found.hint ?? null,
  );
}
