/** Finds the template that a request names. */
import { z } from 'zod';
import type { CompiledTemplate, TemplateContent, TemplateHead, TemplateUse } from '../domain/template.ts';
import type { Templates } from '../store/templates.ts';
import type { Templating } from '../templating/templating.ts';
import { exampleTemplate } from './openapi/template-examples.ts';
import { ProblemError } from './problems.ts';

export const templateParams = z.object({
  id: z.string().meta({ description: 'The id of the template, `tp_…`, or its alias.', examples: [exampleTemplate.id] }),
});

export function templateMissing(name: string): ProblemError {
  return new ProblemError('not_found', `There is no template ${name}`);
}

/** @throws ProblemError 404 */
export async function findTemplate(templates: Pick<Templates, 'find'>, name: string): Promise<TemplateHead> {
  const head = await templates.find(name);
  if (head === null) throw templateMissing(name);
  return head;
}

/** The variables a version uses; none when the version can no longer be compiled. */
export async function usesIn(
  { templating }: { templating: Pick<Templating, 'compiled'> },
  { id, version }: TemplateUse,
  content: TemplateContent,
): Promise<CompiledTemplate['uses']> {
  const compiled = await templating.compiled({ id, version }, async () => content);
  return compiled === null || 'faults' in compiled ? [] : compiled.uses;
}
