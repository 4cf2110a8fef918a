/** Templates: what is stored of one, how a request becomes a template, and the result of rendering one. */
import type { Mailbox } from './address.ts';
import { withoutAnyNull } from './null-leaves-out.ts';
import type { TemplateChanges, TemplateRequest } from './template-request.ts';
import { linkMark } from './unsubscribe-link.ts';
import type { Woven } from './woven.ts';

/** The parts written in Liquid, in the order in which faults are listed. */
export const templateParts = ['subject', 'html', 'text', 'preheader'] as const;
export type TemplatePart = (typeof templateParts)[number];

/** What a missing variable means. */
export const missingPolicies = ['strict', 'lenient'] as const;

export const variableTypes = ['string', 'number'] as const;

/** A variable that the author of the template declared. */
export type DeclaredVariable = {
  readonly key: string;
  readonly type: (typeof variableTypes)[number];
  /** The value used when none is given; null for none. */
  readonly fallback: string | number | null;
};

/** The content of one version, which never changes. */
export type TemplateContent = { readonly [part in TemplatePart]: string | null } & {
  readonly from: Mailbox | null;
  readonly replyTo: readonly Mailbox[];
  readonly missing: (typeof missingPolicies)[number];
  readonly variables: readonly DeclaredVariable[];
  /** Values for variables that a recipient lacks, given by the sender of a campaign. */
  readonly defaults?: Variables;
};

export type TemplateHead = {
  readonly id: string;
  readonly name: string;
  /** A name that can be used instead of the id. */
  readonly alias: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The number of its newest version, counted from 1. */
  readonly version: number;
};

export type Template = { readonly head: TemplateHead; readonly content: TemplateContent };

/** The template and the version that an email was made from. */
export type TemplateUse = { readonly id: string; readonly version: number };

/** A variable as the sources use it. */
export type VariableUse = {
  readonly key: string;
  /** Paths such as `order.total`, as they are written in the sources, each once. */
  readonly paths: readonly string[];
  readonly usedIn: readonly TemplatePart[];
};

export type Variables = Readonly<Record<string, unknown>>;

/** What is wrong, and where, below the template or the variables given. */
export type TemplateFault = {
  readonly path: readonly (string | number)[];
  readonly code: string;
  readonly message: string;
};

/** Why a letter could not be made, for a reader of its email. */
export function unmadeBecause(faults: readonly TemplateFault[]): string {
  const words = faults.map(({ path, message }) => [path.join('.'), message].filter((part) => part !== '').join(' '));
  return `its letter could not be made: ${words.join(', ')}`;
}

export type Letter = { readonly subject: string | null; readonly html: string | null; readonly text: string | null };
export type WovenLetter = { readonly subject: string | null; readonly html: Woven | null; readonly text: Woven | null };

/** A template that was parsed once, to be rendered for many recipients. */
export type CompiledTemplate = {
  readonly content: TemplateContent;
  readonly uses: readonly VariableUse[];
  /** Renders in pieces. It ends within its limits and never throws. Faults of variables have a path that starts with `variables`. */
  weave(variables: Variables): WovenLetter | { readonly faults: readonly TemplateFault[] };
  /** The same, with each text in one string. */
  render(variables: Variables): Letter | { readonly faults: readonly TemplateFault[] };
};

/** The id of a version, derived from the id of its template. */
export function versionIdOf({ id, version }: TemplateUse): string {
  return `${id}_${version}`;
}

export function makeContent(request: Omit<TemplateRequest, 'name' | 'alias'>): TemplateContent {
  const { subject = null, html = null, text = null, preheader = null, from = null, reply_to, missing } = request;
  return {
    subject,
    html,
    text,
    preheader,
    from,
    replyTo: reply_to ?? [],
    missing: missing ?? 'strict',
    variables: declaredIn(request.variables),
  };
}

function declaredIn(given: TemplateChanges['variables']): DeclaredVariable[] {
  return (given ?? []).map(({ key, type, fallback_value }) => ({ key, type, fallback: fallback_value ?? null }));
}

/** Fields left out of a change stay; null removes a field. */
export function changeContent(
  content: TemplateContent,
  changes: Omit<TemplateChanges, 'name' | 'alias'> & { readonly name?: unknown; readonly alias?: unknown },
): TemplateContent {
  const { name: _, alias: _alias, variables, reply_to, missing, ...parts } = changes;
  const given = Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
  return {
    ...content,
    ...given,
    ...(reply_to === undefined ? {} : { replyTo: reply_to ?? [] }),
    ...(missing === undefined ? {} : { missing }),
    ...(variables === undefined ? {} : { variables: declaredIn(variables) }),
  };
}

export function hasBody({ html, text }: Pick<TemplateContent, 'html' | 'text'>): boolean {
  return (html ?? '') !== '' || text !== null;
}

const unfilled = { unsubscribe_url: linkMark };

/**
 * The variables to render with. A missing or null one gets its default, or else its declared fallback, or is left out. Faults when a value has
 * another type than declared.
 */
export function fillIn(
  { variables: declared, defaults = {} }: Pick<TemplateContent, 'variables' | 'defaults'>,
  given: Variables,
): { readonly variables: Variables; readonly faults: readonly TemplateFault[] } {
  const variables: Record<string, unknown> = { ...unfilled, ...withoutAnyNull(defaults), ...withoutAnyNull(given) };
  const faults: TemplateFault[] = [];
  for (const { key, type, fallback } of declared) {
    const value = Object.hasOwn(variables, key) ? variables[key] : null;
    if (value !== null && typeof value !== type)
      faults.push({ path: ['variables', key], code: 'invalid_type', message: `must be a ${type}` });
    if (value === null && fallback !== null) variables[key] = fallback;
  }
  return { variables, faults };
}
