// All rules by group: whether they evaluate, how long that takes, and what they say.

import { createMemo, For, Show } from 'solid-js';
import { ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import { queryPath } from '../../api/query';
import type { Rule, RuleGroup } from '../../api/type';
import { LabelSet } from '../../component/label';
import { found, Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, State, type Tone } from '../../component/state';
import { counted, whole } from '../../format/number';
import { ago, duration, parseTime } from '../../format/time';
import { href, query, setQuery } from '../../router';
import { Page } from '../../shell/page';
import { TONES } from '../alert';

const HEALTH: Record<Rule['health'], Tone> = { ok: 'ok', err: 'bad', unknown: 'idle' };
/** Rules above this are not drawn at once; the search narrows. */
const SHOWN_MAX = 500;

export default function RulesPage() {
  const groups = createPolled(
    () => true,
    async (_, signal) => (await ask<{ groups: RuleGroup[] }>('rules', {}, { signal })).data.groups,
    10_000,
  );
  const rules = createMemo(() => (groups.data() ?? []).flatMap((group) => group.rules));
  const failing = () => rules().filter((rule) => rule.health === 'err').length;
  return (
    <Page
      title="Rules"
      note={
        <Show when={rules().length > 0}>
          {counted(rules().length, 'rule')} in {counted(groups.data()?.length ?? 0, 'group')}
          <Show when={failing() > 0}>
            , <b class="bad">{whole(failing())} failing</b>
          </Show>
        </Show>
      }
    >
      <Loaded of={groups}>
        {(all) => (
          <Show
            when={all().length > 0}
            fallback={
              <Empty title="There are no rules" icon="rules">
                <code>rule_files</code> of the configuration names the files that hold recording and alerting
                rules.
              </Empty>
            }
          >
            <Groups groups={all()} />
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

function Groups(props: { groups: readonly RuleGroup[] }) {
  const search = () => query().get('search') ?? '';
  const only = () => query().get('state') ?? '';
  const fits = (group: RuleGroup, rule: Rule) => {
    if (only() === 'err' && rule.health !== 'err') return false;
    if ((only() === 'alerting' || only() === 'recording') && rule.type !== only()) return false;
    return found(`${group.name} ${group.file} ${rule.name} ${rule.query}`, search());
  };
  const shown = createMemo(() => {
    let left = SHOWN_MAX;
    let hidden = 0;
    const groups = props.groups.map((group) => {
      const rules = group.rules.filter((rule) => fits(group, rule));
      const kept = rules.slice(0, left);
      left -= kept.length;
      hidden += rules.length - kept.length;
      return { ...group, rules: kept };
    });
    return { groups: groups.filter((group) => group.rules.length > 0), hidden };
  });
  return (
    <>
      <div class="filters">
        <Search
          value={search()}
          onInput={(text) => setQuery({ search: text })}
          label="Search rules and expressions"
        />
        <Segments
          label="Kind"
          value={only()}
          choices={[
            { value: '', text: 'All' },
            { value: 'err', text: 'Failing' },
            { value: 'alerting', text: 'Alerting' },
            { value: 'recording', text: 'Recording' },
          ]}
          onChoose={(state) => setQuery({ state })}
        />
      </div>
      <div class="stack">
        <For
          each={shown().groups}
          fallback={<Empty title="No rule fits">Take back the search or the kind.</Empty>}
        >
          {(group) => <Group group={group} />}
        </For>
      </div>
      <Show when={shown().hidden > 0}>
        <p class="more soft">{whole(shown().hidden)} more rules fit; narrow the search to see them.</p>
      </Show>
    </>
  );
}

function Group(props: { group: RuleGroup }) {
  const last = () => parseTime(props.group.lastEvaluation);
  const slow = () => props.group.evaluationTime > props.group.interval;
  return (
    <section class="card" aria-label={`Group ${props.group.name}`}>
      <div class="card-head">
        <h2>{props.group.name}</h2>
        <span class="soft small wrap-anywhere">{props.group.file}</span>
        <span class="soft small head-end">
          every {duration(props.group.interval * 1000)}, took{' '}
          <span classList={{ bad: slow(), strong: slow() }}>
            {duration(props.group.evaluationTime * 1000)}
          </span>
          <Show when={last()}>{(at) => <>, {ago(at())}</>}</Show>
        </span>
      </div>
      <ul class="rules">
        <For each={props.group.rules}>{(rule) => <One rule={rule} />}</For>
      </ul>
    </section>
  );
}

function One(props: { rule: Rule }) {
  const rule = () => props.rule;
  return (
    <li>
      <div class="rule-head">
        <State tone={HEALTH[rule().health]}>{rule().health}</State>
        <b class="wrap-anywhere">{rule().name}</b>
        <Show when={rule().type === 'alerting' && rule().state}>
          {(state) => <State tone={TONES[state()]}>{state()}</State>}
        </Show>
        <Show when={rule().duration}>
          {(seconds) => <span class="soft small">for {duration(seconds() * 1000)}</span>}
        </Show>
        <span class="soft small head-end">took {duration(rule().evaluationTime * 1000)}</span>
      </div>
      <a class="expression code" href={href(queryPath(rule().query))}>
        {rule().query}
      </a>
      <Show when={rule().lastError}>
        <p class="bad wrap-anywhere">{rule().lastError}</p>
      </Show>
      <Show when={Object.keys(rule().labels ?? {}).length > 0}>
        <LabelSet labels={rule().labels ?? {}} />
      </Show>
    </li>
  );
}
