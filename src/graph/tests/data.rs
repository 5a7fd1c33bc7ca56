//! Files that code names beside itself.

use super::super::data::{Base, DataSite, Usage};
use super::read;

#[test]
fn data_beside_the_code() {
    let text = "\
import os
from pathlib import Path
HERE = Path(__file__).resolve().parent
UP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXT = (HERE / 'a' / 'b.txt').read_text()
with open(os.path.join(UP, 'c/../d.json')) as file:
    pass
try:
    open(HERE.joinpath('e'))
except OSError:
    pass
def late():
    return pkgutil.get_data(__name__, 'f.txt') + files('pkg').joinpath('g').read_bytes()
open(HERE / 'h', 'w')
computed = HERE / name
chain = __file__ + '/i' + name
PLACE = HERE / 'j'
PLACE = os.environ.get('PLACE', PLACE)
open(PLACE)
PLACE = HERE / 'k'
open(PLACE)
text = open(HERE / 'l') if known else known and open(HERE / 'm')
if known:
    PLACE = HERE / 'n'
open(PLACE)
one = ctypes.CDLL(str(HERE / 'libo.so'))
two = cdll.LoadLibrary(os.path.join(UP, 'libp.so'))
";
    let shown = |site: &DataSite| {
        let path = &site.path;
        let base = match &path.base {
            Base::File => "file".to_owned(),
            Base::Package(package) => format!("{package:?}"),
        };
        format!(
            "{} {base} -{} {}{}",
            site.line,
            path.up,
            path.parts.join("/"),
            match site.usage {
                Usage::Opened => " !",
                Usage::Served => " ?",
                Usage::Named => "",
            }
        )
    };
    let found: Vec<String> = read(text).data.iter().map(shown).collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    5 file -1 a/b.txt !
    6 file -2 d.json !
    9 file -1 e
    13 OwnName("") -0 f.txt
    13 Absolute("pkg") -0 g
    14 file -1 h
    17 file -1 j
    19 file -1 j
    20 file -1 k
    21 file -1 k !
    22 file -1 l
    22 file -1 m
    24 file -1 n
    25 file -1 n
    26 file -1 libo.so !
    27 file -2 libp.so !
    "#);
    let text = "\
app = Flask(__name__)
app = flask.Flask(import_name=__name__, static_folder=None, template_folder='html/pages')
app = Flask('shop')
app = Flask(__name__, template_folder=where, static_folder='/srv/static')
one = Blueprint('one', __name__)
two = Blueprint('two', __name__, template_folder='views')
";
    let found: Vec<String> = read(text).data.iter().map(shown).collect();
    let wanted = ["1 file -1 static ?", "1 file -1 templates ?", "2 file -1 html/pages ?", "6 file -1 views ?"];
    assert_eq!(found, wanted);
    let deep = format!("x = __file__{}\n", " + '/a'".repeat(20_000));
    assert!(read(&deep).data.len() < 40);
}
