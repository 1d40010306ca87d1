"""Parts of panels, so that the panels of all boards look and filter alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueTextMode,
    GraphThresholdsStyleMode,
    HeatmapCellLayout,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

SOURCE = DataSourceRef("prometheus", "${datasource}")
GREEN, ORANGE, RED = "green", "orange", "red"

# Labels that narrow every query whose metric has them. Metrics of the store and recorded series
# have no instance, because every API reports the same queue.
INSTANCE = 'instance=~"$instance"'
MODEL_ANYWHERE = 'model=~"$model"'
MODEL = f"{MODEL_ANYWHERE},{INSTANCE}"
SOLVER = f'solver=~"$solver",{MODEL}'

# Widths in columns, of which there are 24, and heights in rows of about 30 pixels.
_HEIGHT, _LOW = 8, 4


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the legend of its series."""

    expr: str
    legend: str


Limits = list[Threshold]


def above(warn: float | None = None, bad: float | None = None) -> Limits:
    """Return the values from which a number is worth a look and from which it is bad."""
    marks = [(warn, ORANGE), (bad, RED)]
    return [Threshold(None, GREEN), *(Threshold(at, to) for at, to in marks if at is not None)]


def below(warn: float | None = None, bad: float | None = None) -> Limits:
    """Return thresholds for a number that is bad when it is low."""
    marks = [(bad, RED), (warn, ORANGE)]
    ends, colours = zip(*((at, to) for at, to in marks if at is not None), strict=True)
    pairs = zip((None, *ends), (*colours, GREEN), strict=True)
    return [Threshold(at, colour) for at, colour in pairs]


Panel = timeseries.Panel | stat.Panel | heatmap.Panel


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


def graph(
    title: str,
    says: str,
    unit: str,
    *queries: Query,
    limits: Limits | None = None,
    stacked: bool = False,
    span: int = 8,
    top: float | None = None,
    signed: bool = False,
) -> timeseries.Panel:
    """Draw lines over time, or stacked areas; `limits` are drawn across them. The axis begins at 0
    unless values are `signed`."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .height(_HEIGHT)
        .span(span)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
        .targets(_targets(queries))
    )
    if not signed:
        panel.min(0)
    if top is not None:
        panel.max(top)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if limits is not None:
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_colours(limits)).thresholds_style(style)
    return panel


def number(
    title: str,
    says: str,
    unit: str,
    query: Query,
    limits: Limits,
    *,
    span: int = 4,
    none: str = "no data",
) -> stat.Panel:
    """Show the current value in colour, one number for each series."""
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .height(_LOW)
        .span(span)
        .no_value(none)
        .thresholds(_colours(limits))
        .text_mode(BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .targets(_targets([query], instant=True))
    )


def spread(
    title: str, says: str, unit: str, histogram: str, filters: str, span: int = 8
) -> heatmap.Panel:
    """Show the distribution of a histogram's observations over time."""
    expr = f"sum by (le) (increase({histogram}_bucket{{{filters}}}[$__rate_interval]))"
    target = _target(expr, "{{le}}").format(PromQueryFormat.HEATMAP)
    return (
        heatmap.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit("short")
        .height(_HEIGHT)
        .span(span)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues"))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.LE))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .targets([target])
    )


def quantile(share: float, histogram: str, filters: str, by: str) -> Query:
    """Return a histogram's quantile over the last minutes, for each value of the labels `by`."""
    buckets = f"sum by (le, {by}) (rate({histogram}_bucket{{{filters}}}[$__rate_interval]))"
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return Query(f"histogram_quantile({share}, {buckets})", f"p{100 * share:.0f} {legend}")


def mean(histogram: str, filters: str, by: str, window: str, legend: str) -> Query:
    """Return the mean of a histogram's observations over a window."""
    total, count = (
        f"sum by ({by}) (rate({histogram}_{part}{{{filters}}}[{window}]))"
        for part in ("sum", "count")
    )
    return Query(f"{total} / {count}", legend)


def board(uid: str, title: str, says: str, rows: Sequence[Row]) -> dashboard.Dashboard:
    """Return rows of panels under the variables that all boards share."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags(["mulan"])
        .editable()
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .link(
            dashboard.DashboardLink("Boards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["mulan"])
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Source")
            .type("prometheus")
            .current(VariableOption(True, "Prometheus", "mulan-prometheus"))
        )
        .with_variable(_variable("model", "Model", "mulan_model_workers"))
        .with_variable(_variable("solver", "Solver", "mulan_jobs_total"))
        .with_variable(_variable("instance", "Instance", 'up{job=~"mulan-.+"}'))
    )
    ids = count(1)
    for row in rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made.with_panel(panel.id(next(ids)))
    return made


def _colours(limits: Limits) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(limits)


def _variable(name: str, label: str, series: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(True, ["All"], ["$__all"]))
    )


def _targets(queries: Sequence[Query], instant: bool = False) -> list[Builder[Dataquery]]:
    return [
        _target(query.expr, query.legend, instant).ref_id(chr(ord("A") + place))
        for place, query in enumerate(queries)
    ]


def _target(expr: str, legend: str, instant: bool = False) -> prometheus.Dataquery:
    query = (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .editor_mode(QueryEditorMode.CODE)
        .expr(expr)
        .legend_format(legend)
        .ref_id("A")
    )
    return query.instant() if instant else query.range()
