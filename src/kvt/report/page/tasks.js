// Benchmark tasks: what every plan gets right beside the first plan of the task, and the answers whose verdict changed.

const task_title = (task) => (task.variant ? `${task.task} ${task.variant}` : task.task);
const is_share = (score) => score !== "log_likelihood_per_token";  // the other one is in nats
const field = (object, key) => (object && object[key] !== undefined ? object[key] : null);
const score_text = (score, x, digits) => (x === null || !is_share(score) ? nats(x, 4) : fixed(100 * x, digits));
const change_text = (score, x) => (x === null || !is_share(score) ? signed(x, 4) : signed(100 * x, 2));

function plan_cell(run, plan) {
  const span = element("span", {}, plan.name);
  if (!plan.complete) span.append(element("span", {class: "badge"}, "unfinished"));
  else if (run.plans.length > 1 && plan === run.plans[0]) span.append(element("span", {class: "badge"}, "reference"));
  return span;
}

function tasks_section() {
  const tasks = report.tasks;
  if (!tasks) return;
  const rows = tasks.runs.flatMap((run) => run.plans.flatMap((plan) => Object.entries(plan.summary.scores).map(([score, found]) => (
    {run, plan, score, found, change: field(plan.differences, score)}))));
  const points = Number((100 * tasks.margin).toFixed(6));
  const found = (title, key) => ({title, value: (r) => r.found[key], text: (r) => score_text(r.score, r.found[key], 1)});
  const change = (title, key) => ({title, value: (r) => field(r.change, key), text: (r) => change_text(r.score, field(r.change, key))});
  const table = table_of([
    {title: "task", left: true, header: true, value: (r) => task_title(r.run), text: (r) => task_title(r.run)},
    {title: "plan", left: true, value: (r) => r.plan.name, node: (r) => plan_cell(r.run, r.plan)},
    {title: "bits", value: (r) => r.plan.effective_bits, text: (r) => fixed(r.plan.effective_bits, 2)},
    {title: "items", value: (r) => r.plan.summary.n_items,
     text: (r) => grouped(r.plan.summary.n_items) + (r.plan.complete ? "" : ` of ${grouped(r.run.n_items)}`)},
    {title: "score", left: true, value: (r) => r.score, text: (r) => r.score},
    found("value", "mean"), found("low", "ci_low"), found("high", "ci_high"),
    change("difference", "difference"), change("low", "ci_low"), change("high", "ci_high"),
    {title: "McNemar P", value: (r) => field(r.change, "mcnemar_p"), text: (r) => nats(field(r.change, "mcnemar_p"), 3)},
    {title: "smallest margin", value: (r) => field(r.change, "smallest_margin"), text: (r) => score_text(r.score, field(r.change, "smallest_margin"), 2)},
    {title: `equal within ${points}`, value: (r) => field(r.change, "equivalent"),
     text: (r) => ({true: "yes", false: "not shown"})[field(r.change, "equivalent")] || "-"}],
    rows, {sortable: true, caption: "Scores in percent, differences and margins in points; log-likelihoods in nats a token"});
  table.id = "tasks-table";
  const notes = tasks.runs.flatMap((run) => [run.settings].concat(run.warnings.map((text) => "warning: " + text)));
  section("tasks", "Tasks", table,
    element("p", {class: "muted"}, "low and high bound the 95 % interval to their left. difference: plan minus reference, over the same items. McNemar P: the chance of so " +
      `uneven a split of the items that only one of the two got right. equal within ${points}: two one-sided tests at 5 % show that no more than ` +
      `this many points lie between the plan and the reference; smallest margin: the least number of points for which they do.`),
    element("ul", {class: "notes"}, ...notes.map((text) => element("li", {}, text))));
}

// --- Answers whose verdict changed ---
function changed_section() {
  const runs = report.tasks ? report.tasks.runs : [];
  const compared = runs.flatMap((run) => run.plans.filter((plan) => Object.keys(plan.differences).length > 0).map((plan) => ({run, plan})));
  if (compared.length === 0) return;
  const lost = (c) => c.score < c.reference_score;
  const rows = compared.flatMap(({run, plan}) => plan.changed.map((c) => ({run, plan, c})));
  const said = (title, key) => ({title, left: true, value: (r) => r.c[key], text: (r) => (r.c[key] === null ? "not shown" : r.c[key])});
  const table = table_of([
    {title: "task", left: true, header: true, value: (r) => task_title(r.run), text: (r) => task_title(r.run)},
    {title: "plan", left: true, value: (r) => r.plan.name, text: (r) => r.plan.name},
    {title: "item", left: true, value: (r) => r.c.item, text: (r) => r.c.item},
    {title: "sample", value: (r) => r.c.sample, text: (r) => String(r.c.sample)},
    said("gold", "gold"), said("reference", "reference"), said("this plan", "answer"),
    {title: "verdict", left: true, value: (r) => (lost(r.c) ? "lost" : "won"), text: (r) => (lost(r.c) ? "lost" : "won")}],
    rows, {sortable: true, caption: "Answers whose headline score is another than the reference's; texts are shortened"});
  table.id = "changed-table";
  section("changed", "Changed answers",
    element("ul", {class: "notes"}, ...compared.map(({run, plan}) => {
      const n_lost = plan.changed.filter(lost).length;
      return element("li", {}, `${task_title(run)}, ${plan.name} against ${run.plans[0].name}: ${n_lost} lost, ${plan.changed.length - n_lost} won, ` +
        `of ${grouped(plan.summary.n_answers)} answers`);
    })),
    rows.length > 0 ? folded("The answers", table) : null);
}
