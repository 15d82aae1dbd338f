"""What all dashboards share: variables, and panels with our defaults."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as viz
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

DATASOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are called ("{{name}}")."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What every panel must say: its name, what it shows and why, and the unit of its values."""

    title: str
    description: str
    unit: str


def new_dashboard(title: str, *, uid: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard that only code can change."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["dhgate-monitor"])
        .readonly()
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(datasource_variable())
        .with_variable(query_variable("job", "label_values(up, job)"))
        .with_variable(query_variable("instance", 'label_values(up{job=~"$job"}, instance)'))
        .annotation(alerts_annotation())
    )


def datasource_variable() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def query_variable(name: str, query: str) -> dashboard.QueryVariable:
    """Several values or all of them; asked again when the time range changes."""
    return (
        dashboard.QueryVariable(name)
        .label(name.title())
        .datasource(DATASOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def alerts_annotation() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(RED)
        .expr('ALERTS{alertstate="firing", alertname!="Watchdog"}')
        .title_format("{{alertname}}")
        .text_format("{{name}} {{instance}}")
    )


def thresholds(*steps: tuple[float, str], base: str = GREEN) -> dashboard.ThresholdsConfig:
    """`base` below the first step, then each step's colour from its value upwards."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(None, base), *(Threshold(value, colour) for value, colour in steps)])
    )


def value_names(names: Sequence[tuple[str, str]]) -> list[ValueMapping]:
    """Show the values 0, 1, 2 … as these names in these colours."""
    options = {
        str(value): ValueMappingResult(text=text, color=colour, index=value)
        for value, (text, colour) in enumerate(names)
    }
    return [ValueMap(options)]


def new_stat(about: About, *queries: Query) -> stat.Panel:
    """One big number for each series: the latest."""
    panel = (
        stat.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND)
        .reduce_options(viz.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds())
        .height(4)
        .span(4)
    )
    for target in _targets(queries):
        panel.with_target(target.instant())
    return panel


def new_timeseries(about: About, *queries: Query) -> timeseries.Panel:
    """Lines over time; gaps stay gaps."""
    panel = (
        timeseries.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .line_width(1)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .span_nulls(False)
        .tooltip(viz.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .legend(_legend())
        .height(8)
        .span(8)
    )
    for target in _targets(queries):
        panel.with_target(target.range())
    return panel


def new_stack(about: About, *queries: Query) -> timeseries.Panel:
    """Areas on top of each other: parts of a whole."""
    return (
        new_timeseries(about, *queries)
        .fill_opacity(40)
        .stacking(viz.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    )


def new_state_timeline(about: About, *queries: Query) -> statetimeline.Panel:
    """One bar for each series, its colour the state."""
    panel = (
        statetimeline.Panel()
        .title(about.title)
        .description(about.description)
        .unit(about.unit)
        .datasource(DATASOURCE)
        .merge_values(True)
        .show_value(VisibilityMode.NEVER)
        .row_height(0.8)
        .legend(_legend())
        .height(8)
        .span(24)
    )
    for target in _targets(queries):
        panel.with_target(target.range())
    return panel


def _legend() -> viz.VizLegendOptions:
    return (
        viz.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _targets(queries: Sequence[Query]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .ref_id(chr(ord("A") + position))
        .expr(query.expr)
        .legend_format(query.legend)
        for position, query in enumerate(queries)
    ]
