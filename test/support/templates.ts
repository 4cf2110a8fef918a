/** Templates as tests make them. */

import { cpuMs } from '../../src/chance.ts';
import type { CompiledTemplate, Letter, TemplateContent, TemplateFault, Variables } from '../../src/domain/template.ts';
import { compileTemplate } from '../../src/templating/compile.ts';

export function contentOf(given: Partial<TemplateContent>): TemplateContent {
  const empty = { subject: null, html: null, text: null, preheader: null, from: null };
  return { ...empty, replyTo: [], missing: 'strict', variables: [], ...given };
}

export function compiled(given: Partial<TemplateContent>): CompiledTemplate {
  const template = compileTemplate(contentOf(given), cpuMs);
  if ('faults' in template) throw new Error(JSON.stringify(template.faults));
  return template;
}

/** What is wrong with the sources. */
export function faultsOf(given: Partial<TemplateContent>): readonly TemplateFault[] {
  const template = compileTemplate(contentOf(given), cpuMs);
  return 'faults' in template ? template.faults : [];
}

export function rendered(given: Partial<TemplateContent>, variables: Variables = {}): Letter {
  const letter = compiled(given).render(variables);
  if ('faults' in letter) throw new Error(JSON.stringify(letter.faults));
  return letter;
}

/** What is wrong with rendering, each fault as its pointer and what it says. */
export function renderFaults(given: Partial<TemplateContent>, variables: Variables = {}): string[] {
  const letter = compiled(given).render(variables);
  if (!('faults' in letter)) return [];
  return letter.faults.map(({ path, message }) => `/${path.join('/')} ${message}`);
}
