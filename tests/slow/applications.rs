//! Well-known applications and libraries with heavy native or dynamic parts: what works unpackaged must be proved. The
//! dated result stands in `docs/applications.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use fs_err as fs;
use packproof::environment::find;
use packproof::verify::{Proof, Start};

use crate::installed::{self, WHEELS};
use crate::turn;

pub(crate) struct Application {
    pub(crate) name: &'static str,
    main: &'static str,
    /// Beside `[runner]` and `[environment]`.
    configuration: &'static str,
    further: &'static [(&'static str, &'static str)],
}

const NUMBERS: Application = Application {
    name: "numpy, scipy and pandas",
    main: r#"
import numpy as np, pandas as pd
from scipy import linalg, optimize, sparse, stats

def main():
    a = np.arange(9.0).reshape(3, 3) + np.eye(3)
    x = linalg.solve(a, np.ones(3))
    root = optimize.brentq(lambda v: v * v - 2, 0, 2)
    frame = pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    print(np.allclose(a @ x, 1), round(root, 6), frame.groupby("k").v.sum().to_dict(), sparse.eye(3).nnz, round(stats.norm.cdf(0), 2))

if __name__ == "__main__":
    main()
"#,
    configuration: "[start]\noutput = \"True 1.414214 .*'a': 4.* 3 0.5\"\n",
    further: &[],
};

pub(crate) const DJANGO: Application = Application {
    name: "Django and gunicorn",
    main: r#"
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from gunicorn.app.wsgiapp import WSGIApplication

if __name__ == "__main__":
    sys.argv = [sys.argv[0], "--workers", "2", "--bind", "127.0.0.1:" + os.environ["PORT"], "site_app:application"]
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").run()
"#,
    configuration: "include = [\"site_*.py\"]\nhidden-imports = [\"site_app\", \"site_settings\"]\n[start]\n\
                    env = { PORT = \"{port}\" }\nready = { http = \"http://127.0.0.1:{port}/?name=x\" }\n",
    further: &[
        (
            "site_settings.py",
            "SECRET_KEY = 'x'\nDEBUG = False\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'site_app'\nUSE_TZ = True\n\
             INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes']\n\
             DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n\
             TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates'}]\n",
        ),
        (
            "site_app.py",
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')\n\
             from django.core.wsgi import get_wsgi_application\nfrom django.http import HttpResponse\n\
             from django.template import engines\nfrom django.urls import path\n\
             def hello(request):\n    from django.contrib.auth.models import User\n    \
             template = engines['django'].from_string('Hello {{ name|title }}')\n    \
             return HttpResponse(template.render({'name': request.GET['name']}) + User._meta.db_table)\n\
             urlpatterns = [path('', hello)]\napplication = get_wsgi_application()\n",
        ),
    ],
};

const FASTAPI: Application = Application {
    name: "FastAPI and uvicorn with workers",
    main: r#"
import os
from fastapi import FastAPI
from pydantic import BaseModel

class Item(BaseModel):
    name: str

app = FastAPI()

@app.get("/health")
def health() -> Item:
    return Item(name="x")

if __name__ == "__main__":
    import uvicorn
    uvicorn.run("main:app", host="127.0.0.1", port=int(os.environ["PORT"]), workers=2)
"#,
    configuration: "[start]\nenv = { PORT = \"{port}\" }\nready = { http = \"http://127.0.0.1:{port}/health\" }\n",
    further: &[],
};

const CELERY: Application = Application {
    name: "celery with an in-memory broker",
    main: r#"
from celery import Celery

app = Celery("jobs", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = False

@app.task
def add(a, b):
    return a + b

if __name__ == "__main__":
    from celery.contrib.testing.worker import start_worker
    with start_worker(app, perform_ping_check=False, pool="solo"):
        print("sum", add.delay(2, 3).get(timeout=30), flush=True)
"#,
    configuration: "[start]\noutput = \"sum 5\"\n",
    further: &[],
};

const NBCONVERT: Application = Application {
    name: "Jupyter nbconvert",
    main: r#"
import nbformat
from nbconvert import HTMLExporter, MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor

if __name__ == "__main__":
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    html, _ = HTMLExporter().from_notebook_node(notebook)
    markdown, _ = MarkdownExporter().from_notebook_node(notebook)
    print("html", "jp-Notebook" in html, "markdown", "6 * 7" in markdown)
"#,
    configuration: "[start]\noutput = \"html True markdown True\"\n",
    further: &[],
};

pub(crate) const MATPLOTLIB: Application = Application {
    name: "matplotlib with Agg",
    main: r#"
import io
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

if __name__ == "__main__":
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [4, 1, 3], label=r"$\alpha$")
    axes.legend()
    for kind in ("png", "svg", "pdf"):
        out = io.BytesIO()
        figure.savefig(out, format=kind)
        print(kind, len(out.getvalue()) > 1000)
"#,
    configuration: "[start]\noutput = \"png True\\\\s+svg True\\\\s+pdf True\"\n",
    further: &[],
};

const LEARNING: Application = Application {
    name: "scikit-learn with joblib in parallel",
    main: r#"
from joblib import Parallel, delayed
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

def square(x):
    return x * x

if __name__ == "__main__":
    data = load_iris()
    scores = cross_val_score(RandomForestClassifier(10, random_state=0), data.data, data.target, cv=3, n_jobs=2)
    print("score", scores.mean() > 0.9, Parallel(n_jobs=2, backend="loky")(delayed(square)(x) for x in range(4)))
"#,
    configuration: "[start]\noutput = 'score True \\[0, 1, 4, 9\\]'\n",
    further: &[],
};

const DATABASE: Application = Application {
    name: "SQLAlchemy and psycopg2-binary",
    main: r#"
import psycopg2
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase):
    pass

class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

if __name__ == "__main__":
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Thing(name="x"))
        session.commit()
        print("rows", session.scalars(select(Thing.name)).all())
    print(create_engine("postgresql+psycopg2://u:p@127.0.0.1:1/x").dialect.name, psycopg2.__libpq_version__ > 0)
    try:
        psycopg2.connect("postgresql://u:p@127.0.0.1:1/x?sslmode=require&connect_timeout=2")
    except psycopg2.OperationalError as error:
        print("refused" in str(error))
"#,
    configuration: "[start]\noutput = \"rows \\\\['x'\\\\]\\\\s+postgresql True\\\\s+True\"\n",
    further: &[],
};

const CLOUD: Application = Application {
    name: "boto3",
    main: r#"
import boto3

if __name__ == "__main__":
    session = boto3.Session("a", "b", region_name="eu-central-1")
    url = session.client("s3").generate_presigned_url("get_object", Params={"Bucket": "x", "Key": "y"})
    print(len(session.get_available_services()) > 300, "Signature=" in url, session.resource("dynamodb").Table("t").name)
"#,
    configuration: "[start]\noutput = \"True True t\"\n",
    further: &[],
};

const TELEMETRY: Application = Application {
    name: "OpenTelemetry auto-instrumentation",
    main: r#"
import os
os.environ.update(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
from opentelemetry.instrumentation.auto_instrumentation import initialize
initialize()
import requests
from opentelemetry import trace

if __name__ == "__main__":
    with trace.get_tracer("x").start_as_current_span("work"):
        try:
            requests.get("http://127.0.0.1:1/", timeout=2)
        except requests.ConnectionError:
            pass
    print("patched", hasattr(requests.Session.send, "__wrapped__"), type(trace.get_tracer_provider()).__module__)
"#,
    configuration: "[start]\noutput = \"patched True opentelemetry.sdk.trace\"\n",
    further: &[],
};

const LANGCHAIN: Application = Application {
    name: "langchain",
    main: r#"
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

if __name__ == "__main__":
    chain = ChatPromptTemplate.from_template("say {x}") | FakeListChatModel(responses=["hello"])
    print("said", chain.invoke({"x": 1}).content, ChatOpenAI(api_key="x", model="m").model_name)
    print(type(create_agent(FakeListChatModel(responses=["a"]), tools=[])).__name__)
"#,
    configuration: "[start]\noutput = \"said hello m\\\\s+CompiledStateGraph\"\n",
    further: &[],
};

impl Application {
    /// The project; gives its environment's interpreter.
    pub(crate) fn write(&self, sweep: &str, project: &Path) -> PathBuf {
        let python = find::interpreter(Some("3.11")).unwrap().executable;
        // Every version, so that a new release of anything is no news here.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/slow/locks/applications/{sweep}.txt"));
        let python = installed::environment(sweep, &python, &fs::read_to_string(lock).unwrap(), WHEELS).unwrap();
        write(&project.join("main.py"), self.main);
        for (name, text) in self.further {
            write(&project.join(name), text);
        }
        let configuration = format!("[runner]\nname = \"app\"\nentry = \"main.py\"\n{}\n", self.configuration);
        let environment = format!("[environment]\npython = '{}'\n", python.display());
        write(&project.join("packproof.toml"), &(configuration + &environment));
        python
    }
}

#[expect(clippy::print_stderr, reason = "a sweep's result is read in its log")]
fn prove(sweep: &str, application: &Application) {
    if !turn(sweep) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let project = root.join("project");
    application.write(sweep, &project);
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_packproof"))
        .arg("build")
        .arg(&project)
        .env("PACKPROOF_TOOL_CACHE", root.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprintln!("{}: {}\n{said}", application.name, begun.elapsed().as_secs());
    assert!(output.status.success(), "{}", application.name);
    let proof = Proof::read(&Proof::path_for(&project.join("dist/app"))).unwrap();
    assert!(proof.is_proved() && proof.start == Start::Passed);
    let imports = &proof.imports;
    eprintln!(
        "| {} | {} | {} | {} | {} |",
        application.name,
        imports.checked,
        imports.statements,
        imports.fail_alike,
        imports.unstable.len()
    );
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

macro_rules! sweeps {
    ($($test:ident $name:literal $application:ident)*) => {
        $(#[test]
        fn $test() {
            prove($name, &$application);
        })*
    };
}

sweeps! {
    numbers "numpy" NUMBERS
    django "django" DJANGO
    fastapi "fastapi" FASTAPI
    celery "celery" CELERY
    nbconvert "nbconvert" NBCONVERT
    matplotlib "matplotlib" MATPLOTLIB
    learning "scikit-learn" LEARNING
    database "sqlalchemy" DATABASE
    cloud "boto3" CLOUD
    telemetry "opentelemetry" TELEMETRY
    langchain "langchain" LANGCHAIN
}
